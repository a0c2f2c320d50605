"""The tidy table of results: one row a final checkpoint and benchmark.

    {"model": "lab.small", "seed": 0, "experiments": ["dmt"], "strategy": "dmt", "proportion": "1/4",
     "proportions": [{"math": "1", "code": "1"}, {"general": "1", "math": "1/4", "code": "1/4"}], "ability": "math",
     "benchmark": "lab.math", "score": 0.42, "n": 200, "low": 0.35, "high": 0.49, "key": "c0ffee..."}

`key` is the score's: its record leads to the answers, the checkpoint and all that went before. Fractions are text. A
row of a curve is the same for a checkpoint on the way, with `stage` (from 1) and `at`, the share of that stage.
"""

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixgrid.record import Record
from mixgrid.untrusted import csv_cell

if TYPE_CHECKING:
    from mixgrid.artifact import Artifact
    from mixgrid.evidence import Evidence
    from mixgrid.steps.aggregate import AggregateSettings

Row = dict[str, Any]
COLUMNS = [
    "model", "seed", "experiments", "strategy", "proportion", "proportions", "ability", "benchmark",
    "score", "n", "low", "high", "key",
]  # fmt: skip


def result_rows(names: "AggregateSettings", scores: Sequence[Record | None]) -> list[Row]:
    """Rows in the study's order; a score that is not there yet (None) has no row."""
    rows = [row for row in _rows(names, scores) if row["at"] is None]
    return [{column: row[column] for column in COLUMNS} for row in rows]


def recipe_rows(names: "AggregateSettings", scores: Sequence[Record | None]) -> list[Row]:
    """The rows that laws and findings rest on: final checkpoints, no benchmark that is out of domain.

    They have what differs from the study's recipe, `recipe`, too: a law is of one recipe.
    """
    apart = names.out_of_domain
    return [r for r in _rows(names, scores) if r["at"] is None and (r["ability"], r["benchmark"]) not in apart]


def curve_rows(names: "AggregateSettings", scores: Sequence[Record | None]) -> list[Row]:
    """The rows of checkpoints on the way, in the study's order, with the columns `stage` and `at`."""
    rows = [row for row in _rows(names, scores) if row["at"] is not None]
    return [{column: value for column, value in row.items() if column != "recipe"} for row in rows]


def evidence_of(
    names: "AggregateSettings", scores: Sequence[Record | None], *, open_score: Callable[[Record], "Artifact"]
) -> "Evidence":
    """What findings are made from: the cells, and the items of each score that is there, where they are kept."""
    from mixgrid.evidence import Evidence, item_scores

    there = {record.key: record for record in scores if record is not None}
    return Evidence(
        recipe_rows(names, scores), specialised=names.specialised, models=names.models,
        general=[ability for ability in names.abilities if ability not in names.specialised],
        items=lambda key: item_scores(open_score(there[key])),
    )  # fmt: skip


def _rows(names: "AggregateSettings", scores: Sequence[Record | None]) -> list[Row]:
    rows = []
    for name, record in zip(names.scores, scores, strict=True):
        if record is not None:
            figures = {field: record.ledger[field] for field in ("score", "n", "low", "high")}
            checkpoint = names.checkpoints[name.checkpoint].model_dump(mode="json")
            row = {**checkpoint, "ability": name.ability, "benchmark": name.benchmark, **figures, "key": record.key}
            rows.append(row)
    return rows


def write_table(rows: Sequence[Row], *, format: str, path: Path) -> None:
    """Write `rows` as csv or parquet. Lists are JSON text; in csv, text is made safe for spreadsheets (`csv_cell`)."""
    import pandas as pd

    flat = [{k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
    if format == "csv":
        flat = [{k: csv_cell(v) if isinstance(v, str) else v for k, v in row.items()} for row in flat]
    table = pd.DataFrame(flat, columns=list(rows[0]) if rows else COLUMNS)
    table = table.astype({name: kind for name, kind in (("seed", "Int64"), ("n", "int64")) if name in table})
    if format == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)


def to_json(
    rows: Sequence[Row], curves: Sequence[Row], *, study: str, out_of_domain: Collection[tuple[str, str]] = ()
) -> str:
    """The one JSON object of `mixgrid results --format json`.

    `curves` where a study evaluates on the way; `out_of_domain` where rows are of such a benchmark.
    """
    document = {"study": study, "rows": list(rows)} | ({"curves": list(curves)} if curves else {})
    apart = sorted({(row["ability"], row["benchmark"]) for row in rows} & {*out_of_domain})
    if apart:
        document["out_of_domain"] = [{"ability": ability, "benchmark": benchmark} for ability, benchmark in apart]
    return json.dumps(document, indent=1) + "\n"
