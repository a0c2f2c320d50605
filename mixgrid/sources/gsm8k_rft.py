"""GSM8K RFT: rejection-sampled reasoning paths for GSM8K's training questions (math).

    {"query": "Natalia sold clips to 48 of her friends ...", "response": "... <<48/2=24>>24 ...\\n#### 72"}

Most likely the `u33b.jsonl` release of OFA-Sys/gsm8k-ScRel, 110,142 rows in the paper's table 5. It is linked from that
repository's README and on no hub, so a study says where its copy lies.
"""

from mixgrid.sources import PublishedSource

SOURCE = PublishedSource(
    name="gsm8k_rft",
    form="query_response",
    rows=110_142,
    homepage="the README of OFA-Sys/gsm8k-ScRel on GitHub (u33b.jsonl)",
)
