"""HumanEval's problems, for the benchmark `humaneval`; never trained on.

    {"task_id": "HumanEval/0", "prompt": "from typing ...", "entry_point": "has_close_elements", "test": ...}

164 rows (openai/human-eval on GitHub, MIT).
"""

from mixgrid.sources import HubDataset, PublishedSource

SOURCE = PublishedSource(
    name="human_eval",
    form="human_eval",
    rows=164,
    homepage="openai/human-eval on GitHub",
    hub=HubDataset(repo="openai/openai_humaneval", split="test"),
)
