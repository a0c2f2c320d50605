"""MT-Bench's questions, for the benchmark `mt_bench`; never trained on.

    {"question_id": 81, "category": "writing", "turns": ["Compose an engaging travel blog post ...", "Rewrite ..."]}

80 rows of two turns: question.jsonl of FastChat (lm-sys/FastChat on GitHub, Apache-2.0), given by `path`. The hub has
it in another form only.
"""

from mixgrid.sources import PublishedSource

SOURCE = PublishedSource(
    name="mt_bench",
    form="mt_bench",
    rows=80,
    homepage="lm-sys/FastChat, fastchat/llm_judge/data/mt_bench/question.jsonl, on GitHub",
)
