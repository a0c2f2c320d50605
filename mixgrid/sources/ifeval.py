"""IFEval's prompts with their verifiable instructions, for the benchmark `ifeval`; never trained on.

    {"key": 1000, "prompt": "Write a 300+ ...", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}

541 rows (google-research/google-research on GitHub, Apache-2.0; the hub calls its only split train).
"""

from mixgrid.sources import HubDataset, PublishedSource

SOURCE = PublishedSource(
    name="ifeval",
    form="ifeval",
    rows=541,
    homepage="google-research/google-research, instruction_following_eval, on GitHub",
    hub=HubDataset(repo="google/IFEval", split="train"),
)
