"""Code Alpaca: instructions answered with code (code).

    {"instruction": "Create a function that ...", "input": "", "output": "def f(x): ..."}

20,022 rows, about 40 % with an input (sahil280114/codealpaca on GitHub, CC BY-NC 4.0).
"""

from mixgrid.sources import HubDataset, PublishedSource

SOURCE = PublishedSource(
    name="code_alpaca",
    form="alpaca",
    rows=20_022,
    homepage="sahil280114/codealpaca on GitHub",
    hub=HubDataset(repo="sahil2801/CodeAlpaca-20k"),
)
