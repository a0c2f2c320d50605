"""Keys: what a step is, and nothing of where or how fast it runs.

    key_of("subsample", 1, {"proportion": "1/4"}, {"rows": "9f2c..."})
        = sha256('{"inputs":{"rows":"9f2c..."},"kind":"subsample","settings":{"proportion":"1/4"},"version":1}')

A value written in a study is identity; a value of a `Runtime` type never is. A setting left at its default is not
part of the key, so a setting added later leaves old keys as they were (and a default, once released, never changes).
Values without a stable form are refused instead of being guessed at.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from mixgrid.errors import IdentityError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Key = str


class Settings(BaseModel):
    """A frozen, typed part of a step's identity. Unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def identity(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as plain JSON values; `Runtime` fields are left out."""
        runtime = {name for name in type(self).model_fields if isinstance(getattr(self, name), Runtime)}
        return self.model_dump(mode="json", exclude_defaults=True, exclude=runtime)


class Runtime(BaseModel):
    """Where and with what a step runs: device, processes, locations, micro-batch. Never part of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_proportion(value: object) -> Fraction:
    """An exact fraction in (0, 1], from `1/4`, `0.25` or 1. Raises ValueError with the remedy."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
            raise ValueError
        fraction = value if isinstance(value, Fraction) else Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError("not a fraction; write a fraction such as 1/16") from None
    if not 0 < fraction <= 1:
        raise ValueError("outside (0, 1]; write a fraction such as 1/16")
    return fraction


Proportion = Annotated[Fraction, BeforeValidator(parse_proportion), PlainSerializer(str, return_type=str)]


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces; equal values give equal text.

    Raises IdentityError for anything but None, booleans, integers, finite floats, text, fractions, lists, tuples
    and mappings with text keys.
    """
    return json.dumps(_stable(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _stable(value: object, path: str) -> Json:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise IdentityError(f"{path}: {value} has no stable form; a key needs finite numbers")
        return value
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, list | tuple):
        return [_stable(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise IdentityError(f"{path}: the mapping key {name!r} is not text")
        return {name: _stable(item, f"{path}.{name}") for name, item in value.items()}
    raise IdentityError(
        f"{path}: {type(value).__name__} has no stable form; allowed: None, bool, int, float, text, Fraction, "
        "lists and mappings of these. What only says where something runs belongs into a Runtime field"
    )


def key_of(kind: str, version: int, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> Key:
    """The 64 hexadecimal digits that name a step, for ever."""
    text = canonical_json({"kind": kind, "version": version, "settings": settings, "inputs": inputs})
    return hashlib.sha256(text.encode()).hexdigest()
