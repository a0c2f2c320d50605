"""GSM8K's test questions, for the benchmark `gsm8k`; never trained on.

    {"question": "Janet's ducks lay 16 eggs per day ...", "answer": "... #### 18"}

1,319 rows (openai/grade-school-math on GitHub, MIT).
"""

from mixgrid.sources import HubDataset, PublishedSource

SOURCE = PublishedSource(
    name="gsm8k_test",
    form="query_response",
    rows=1_319,
    homepage="openai/grade-school-math on GitHub",
    hub=HubDataset(repo="openai/gsm8k", config="main", split="test"),
)
