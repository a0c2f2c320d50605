"""Pydantic's errors as messages: the field, its value, what is allowed and what to do.

list(mistakes(error, whole="the study"))
    ["proportions[2]: 1.5: outside (0, 1]; write a fraction such as 1/16", "recipe.epoch: unknown setting; ..."]
"""

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

_SHOWN = 80
_REMEDIES = {
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping, such as {math: ...}",
    "model_type": "must be a mapping of settings",
    "string_pattern_mismatch": "a name has letters, digits, '.', '_' and '-', begins with a letter or digit, "
    "and is at most 40 long",
}
"""What a message says instead of pydantic's words for an error type."""


def mistakes(error: ValidationError, *, whole: str, under: str = "") -> Iterator[str]:
    """One line a mistake. `whole` names what was read, for what concerns all of it; `under` comes before its fields."""
    for detail in error.errors(include_url=False):
        field = field_name((under, *detail["loc"]) if under else detail["loc"]) or whole
        message = _REMEDIES.get(detail["type"], str(detail["msg"]).removeprefix("Value error, "))
        if detail["type"] == "too_short" and detail["input"]:
            continue  # its wrong items have their own messages
        if detail["type"] == "missing":
            yield f"{field}: is missing; add it"
        elif detail["type"] in ("extra_forbidden", "invalid_key"):
            yield f"{field}: unknown setting; remove it or correct its name"
        elif not detail["loc"]:
            yield f"{field}: {message}"
        else:
            yield f"{field}: {shown(detail['input'])}: {message}"


def shown(value: object) -> str:
    """A value on one line, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def field_name(location: Iterable[object]) -> str:
    """`models[0].name`; empty for the whole."""
    text = ""
    for part in location:
        if isinstance(part, int) or str(part).isdigit():
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text
