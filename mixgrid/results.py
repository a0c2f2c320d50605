"""The tidy table of results: one row a final checkpoint and benchmark.

    {"model": "lab.small", "seed": 0, "experiments": ["dmt"], "strategy": "dmt", "proportion": "1/4",
     "proportions": [{"math": "1", "code": "1"}, {"general": "1", "math": "1/4", "code": "1/4"}], "ability": "math",
     "benchmark": "lab.math", "score": 0.42, "n": 200, "low": 0.35, "high": 0.49, "key": "c0ffee..."}

`key` is the score's: its record leads to the answers, the checkpoint and all that went before. Fractions are text.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixgrid.record import Record

if TYPE_CHECKING:
    from mixgrid.steps.aggregate import AggregateSettings

Row = dict[str, Any]
COLUMNS = [
    "model", "seed", "experiments", "strategy", "proportion", "proportions", "ability", "benchmark",
    "score", "n", "low", "high", "key",
]  # fmt: skip


def result_rows(names: "AggregateSettings", scores: Sequence[Record | None]) -> list[Row]:
    """Rows in the study's order; a score that is not there yet (None) has no row."""
    rows = []
    for name, record in zip(names.scores, scores, strict=True):
        if record is not None:
            figures = {field: record.ledger[field] for field in ("score", "n", "low", "high")}
            checkpoint = names.checkpoints[name.checkpoint].model_dump(mode="json")
            row = {**checkpoint, "ability": name.ability, "benchmark": name.benchmark, **figures, "key": record.key}
            rows.append(row)
    return rows


def write_table(rows: Sequence[Row], *, study: str, format: str, path: Path) -> None:
    """Write `rows` as json, csv or parquet. In csv and parquet, lists are JSON text."""
    if format == "json":
        path.write_text(to_json(rows, study=study), encoding="utf-8")
        return
    import pandas as pd

    flat = [{k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
    table = pd.DataFrame(flat, columns=COLUMNS).astype({"seed": "Int64", "n": "int64"})
    if format == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)


def to_json(rows: Sequence[Row], *, study: str) -> str:
    """The one JSON object of `mixgrid results --format json`."""
    return json.dumps({"study": study, "rows": list(rows)}, indent=1) + "\n"
