"""A line of an answers file that a user wrote: read, or refused with its number and what was expected.

read_row('{"id": 0, "completion": "#### 18"}', 1, fields=("id", "completion"), form='{"id": ..., "completion": text}')
->  {"id": 0, "completion": "#### 18"}
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.errors import AnswersError
from mixgrid.sources.files import BadRow, parse_json, shown


def read_row(line: str, number: int, *, fields: Sequence[str], form: str) -> dict[str, Any]:
    """The object of line `number`, with all `fields` and text as its completion. Raises AnswersError."""
    row = parse_json(line)
    if isinstance(row, BadRow):
        raise AnswersError(f"line {number}: {row.reason} ({row.detail}); each line must be {form}")
    if not isinstance(row, dict):
        raise AnswersError(f"line {number}: {shown(row)} is not an object; each line must be {form}")
    for field in fields:
        if field not in row:
            raise AnswersError(f"line {number}: no '{field}' in {shown(row)}; each line must be {form}")
    if not isinstance(row["completion"], str):
        said = shown(row["completion"])
        raise AnswersError(f"line {number}, completion: {said} is not text; give the model's whole answer")
    return row
