"""Choosing by name, with an answer for the one who mistyped.

choose("sequentail", {"sequential": ...}, what="strategy")
    ValueError: unknown strategy 'sequentail'; did you mean 'sequential'? Allowed: sequential
"""

import difflib
from collections.abc import Collection, Sequence
from typing import Any


def choose(name: str, allowed: Collection[str], *, what: str) -> str:
    """`name` if it is allowed. Raises ValueError with the nearest allowed name and all of them."""
    if name in allowed:
        return name
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"unknown {what} {name!r}{hint} Allowed: {', '.join(allowed)}")


def unique(values: Sequence[Any], *, what: str) -> None:
    """Raise ValueError naming the first value that stands twice."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value!s} stands twice; give each once")
        seen.add(value)


def named_form(value: object) -> object:
    """`rq1` is short for `{name: rq1}`."""
    return {"name": value} if isinstance(value, str) else value
