"""Values that cross the wall of the box, as tagged JSON of builtin literals; nothing of it can run code.

    encode([1, (2.5, "a")])  ->  ["list", 1, ["tuple", 2.5, "a"]]
    decode(["set", 1, 1])    ->  {1}

None, booleans, text, floats (NaN and infinities too) and integers up to 2**53 are themselves; all else is a list that
opens with its tag. Both sides use this file, and only what `decode` gives is believed: instances of builtin types,
never of a class of the program's. It is loaded in the box without the rest of mixgrid.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:  # the module typing takes longer to load than all else here
    from typing import Any

MAXIMUM_FRAME = 4 * 2**20  # bytes; the largest answer of HumanEval's own solutions has 2 KB
MAXIMUM_ITEMS = 200_000  # of one iterator, which may have no end
MAXIMUM_DEPTH = 64
MAXIMUM_HEX_DIGITS = 16_384  # of an integer: 19,728 decimal digits
_PLAIN_INTEGER = 2**53


class NotPlain(Exception):
    """The value is no builtin literal, or too large, too deep or malformed."""


def encode(value: object, depth: int = 0) -> Any:
    """What `json.dumps` takes; a subclass counts as the builtin it extends. Raises NotPlain."""
    if value is None or value is True or value is False:
        return value
    if depth > MAXIMUM_DEPTH:
        raise NotPlain("too deep")
    for base, encoder in _ENCODERS:
        if isinstance(value, base):
            return encoder(value, depth + 1)
    raise NotPlain("not a builtin literal")


def _integer(value: int, _: int) -> Any:
    number = int.__index__(value)
    return number if -_PLAIN_INTEGER <= number <= _PLAIN_INTEGER else ["int", f"{number:x}"]


def _text(value: str, _: int) -> Any:
    if str.__len__(value) > MAXIMUM_FRAME:
        raise NotPlain("too large")
    return str.__str__(value)


def _sequence(tag: str, read: Callable[[Any], Iterator[object]]) -> Callable[[Any, int], Any]:
    return lambda value, depth: [tag, *(encode(item, depth) for item in read(value))]


def _mapping(value: dict[object, object], depth: int) -> Any:
    return ["dict", *(encode(part, depth) for pair in dict.items(value) for part in pair)]


def _iterator(value: Iterable[object], depth: int) -> Any:
    items = []
    for item in value:
        items.append(encode(item, depth))
        if len(items) > MAXIMUM_ITEMS:
            raise NotPlain("too many items")
    return ["iterator", *items]


_ENCODERS: list[tuple[Any, Callable[[Any, int], Any]]] = [
    (int, _integer),
    (float, lambda value, _: float.__float__(value)),
    (str, _text),
    (list, _sequence("list", list.__iter__)),
    (tuple, _sequence("tuple", tuple.__iter__)),
    (dict, _mapping),
    (set, _sequence("set", set.__iter__)),
    (frozenset, _sequence("frozenset", frozenset.__iter__)),
    ((bytes, bytearray), lambda value, _: ["bytes", bytes(value).hex()]),
    (complex, lambda value, _: ["complex", value.real, value.imag]),
    (range, lambda value, depth: ["range", *(encode(end, depth) for end in (value.start, value.stop, value.step))]),
    (type({}.keys()), _sequence("keys", iter)),
    (type({}.values()), _sequence("values", iter)),
    (type({}.items()), _sequence("items", iter)),
    (Iterator, _iterator),
]


def decode(tree: object, depth: int = 0) -> Any:
    """The value of what `json.loads` gave, of exact builtin types. Raises NotPlain, whatever the tree is."""
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if depth > MAXIMUM_DEPTH or not isinstance(tree, list) or not tree or not isinstance(tree[0], str):
        raise NotPlain("malformed")
    tag, parts = tree[0], tree[1:]
    try:
        if tag in _LITERALS:
            return _LITERALS[tag](*parts)
        return _CONTAINERS[tag]([decode(part, depth + 1) for part in parts])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise NotPlain("malformed") from error


def _read_integer(digits: str) -> int:
    if not isinstance(digits, str) or len(digits) > MAXIMUM_HEX_DIGITS:
        raise ValueError
    return int(digits, 16)


def _pairs(parts: list[Any]) -> dict[Any, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


_LITERALS: Mapping[str, Callable[..., Any]] = {
    "int": _read_integer,
    "bytes": bytes.fromhex,
    "complex": lambda real, imaginary: complex(float(real), float(imaginary)),
}
_CONTAINERS: Mapping[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": _pairs,
    "range": lambda ends: range(*ends),
    "iterator": iter,
    "keys": lambda parts: dict.fromkeys(parts).keys(),
    "values": lambda parts: dict(enumerate(parts)).values(),
    "items": lambda parts: dict(parts).items(),
}


def send(pipe: int, message: object) -> None:
    """Write one frame: four bytes of length, then JSON. Raises NotPlain before a byte is out if it is too large."""
    try:
        data = json.dumps(message).encode()
    except RecursionError as error:
        raise NotPlain("too deep") from error
    if len(data) > MAXIMUM_FRAME:
        raise NotPlain("too large")
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(pipe, data) :]


def receive(pipe: int) -> Any:
    """The next frame's JSON. Raises EOFError at the end of the pipe, NotPlain for what is no frame of ours."""
    length = int.from_bytes(_read(pipe, 4), "big")
    if length > MAXIMUM_FRAME:
        raise NotPlain("too large")
    try:
        return json.loads(_read(pipe, length))
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotPlain("malformed") from error


def _read(pipe: int, length: int) -> bytearray:
    data = bytearray()
    while len(data) < length:
        part = os.read(pipe, min(length - len(data), 2**16))
        if not part:
            raise EOFError
        data += part
    return data
