"""ShareGPT: multi-turn conversations of people with a chat model, the Vicuna dump (general).

    {"id": "x_0", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}

86,060 conversations in the paper, which does not say how they were cleaned; the hub's cleaned dump has more. A download
with another number of rows stops and says so: a study that means it writes that number under `rows`.
"""

from mixgrid.sources import HubDataset, PublishedSource

SOURCE = PublishedSource(
    name="sharegpt",
    form="sharegpt",
    rows=86_060,
    homepage="anon8231489123/ShareGPT_Vicuna_unfiltered on the Hugging Face hub",
    hub=HubDataset(repo="anon8231489123/ShareGPT_Vicuna_unfiltered", file="ShareGPT_V3_unfiltered_cleaned_split.json"),
)
