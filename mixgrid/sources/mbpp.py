"""MBPP's test problems, for the benchmark `mbpp`; never trained on.

    {"task_id": 11, "text": "Write a python function to ...", "code": ..., "test_list": ["assert remove_Occ(..."]}

500 rows, tasks 11 to 510 (google-research/google-research on GitHub, CC BY 4.0). The published mbpp.jsonl holds all
974 and the sanitized file 427: with one of those, give its `rows`. A row whose tests build the answer's own objects is
refused.
"""

from mixgrid.sources import HubDataset, PublishedSource

SOURCE = PublishedSource(
    name="mbpp",
    form="mbpp",
    rows=500,
    homepage="google-research/google-research, mbpp, on GitHub",
    hub=HubDataset(repo="google-research-datasets/mbpp", config="full", split="test"),
)
