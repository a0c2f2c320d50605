"""Values that cross the wall: the same ones come out, nothing but builtin types does, and work is bounded."""

import json
import os
import threading
from collections import Counter, namedtuple
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.sandbox.values import MAXIMUM_FRAME, NotPlain, decode, encode, receive, send

TAGS = ["int", "bytes", "complex", "list", "tuple", "set", "frozenset", "dict", "range", "iterator", "keys", "items"]

hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
values = st.recursive(
    hashable | st.sets(hashable, max_size=3) | st.builds(range, st.integers(), st.integers(), st.integers(1)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hashable, inner, max_size=4),
    max_leaves=12,
)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.builds(lambda tag, parts: [tag, *parts], st.sampled_from(TAGS), st.lists(inner))
    ),
)


def across(value: object) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


def same(left: object, right: object) -> bool:
    """Equal, of the same types throughout, NaN included: `repr` tells 1 from True and 1.0."""
    return repr(left) == repr(right) or (left == right and type(left) is type(right))


@given(values)
def test_value_comes_out_as_it_went_in(value: object) -> None:
    assert same(across(value), value)


@given(trees)
def test_whatever_the_box_says_becomes_builtin_values_or_nothing(tree: object) -> None:
    try:
        value = decode(tree)
    except NotPlain:
        return
    assert type(value).__module__ == "builtins"


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), -0.0, 2**53 + 1, "\ud800\0é"])
def test_rare_numbers_and_text_come_out_as_they_went_in(value: object) -> None:
    assert same(across(value), value)


def test_integer_beyond_what_python_prints_comes_out_as_it_went_in() -> None:
    assert across(-(10**19_000)) == -(10**19_000)


def test_iterators_and_views_are_what_they_yield() -> None:
    assert list(across(x * x for x in range(4))) == [0, 1, 4, 9]
    assert list(across(map(str, [1]))) == ["1"]
    assert isinstance(across(zip("ab", "cd", strict=True)), Iterator)
    assert across({1: 2}.keys()) == {1}
    assert across({1: 2}.items()) == {(1, 2)}
    assert list(across({1: 2}.values())) == [2]


def test_instance_of_a_class_counts_as_the_builtin_it_extends() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    class Colour(IntEnum):
        RED = 3

    came_out = across([Liar(5), Colour.RED, Counter("aab"), namedtuple("Point", "x y")(1, 2)])
    assert came_out == [5, 3, {"a": 2, "b": 1}, (1, 2)]
    assert [type(value) for value in came_out] == [int, int, dict, tuple]


def endless() -> Iterator[int]:
    while True:
        yield 0


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize("value", [object(), len, iter(endless()), nested(100), type, {1: object()}])
def test_value_that_is_no_builtin_literal_of_reasonable_size_is_refused(value: object) -> None:
    with pytest.raises(NotPlain):
        across(value)


def test_integer_of_too_many_digits_is_refused() -> None:
    with pytest.raises(NotPlain):
        across(1 << 70_000)


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\2\xff\xfe", b"\0\0\0\1[", b"\0\0\x27\x10" + b"9" * 10_000,
        b"\0\1\x86\xa0" + b"[" * 100_000,
    ],
)  # fmt: skip
def test_frame_of_nonsense_is_refused(frame: bytes) -> None:
    reading, writing = os.pipe()
    writer = threading.Thread(target=os.write, args=(writing, frame))
    writer.start()
    try:
        with pytest.raises(NotPlain):
            receive(reading)
    finally:
        os.close(reading)
        writer.join()
        os.close(writing)


def test_frame_that_is_too_large_is_not_sent() -> None:
    reading, writing = os.pipe()
    with pytest.raises(NotPlain):
        send(writing, "a" * MAXIMUM_FRAME)
    os.close(writing)
    with pytest.raises(EOFError):
        receive(reading)
    os.close(reading)
