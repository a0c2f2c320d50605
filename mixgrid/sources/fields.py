"""Fields of a row, or the reason why the row is rejected.

field_of({"query": "1 + 1?"}, "response")  ->  RejectedError("no 'response' field", "row has ['query']")
"""

from typing import Any

from mixgrid.conversations import Role
from mixgrid.sources.files import shown


class RejectedError(Exception):
    """A row cannot be used. `reason` is one of a few short texts to count by; `detail` has the place and value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def field_of(row: dict[str, Any], key: str, place: str = "row") -> Any:
    """The field's value; null counts as absent. Raises RejectedError."""
    if row.get(key) is None:
        raise RejectedError(f"no '{key}' field", f"{place} has {shown(sorted(map(str, row)))}")
    return row[key]


def text_of(value: object, role: Role, place: str) -> str:
    """The value as the text of a turn. Raises RejectedError if it is no text, blank, or not valid Unicode."""
    if not isinstance(value, str):
        raise RejectedError(f"{role} turn is not text", f"{place} is {shown(value)}")
    if not value.strip():
        raise RejectedError(f"empty {role} turn", f"{place} is {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        detail = f"{place} has {shown(value[error.start])} at character {error.start}: half of a surrogate pair"
        raise RejectedError("text is not valid Unicode", detail) from None
    return value
