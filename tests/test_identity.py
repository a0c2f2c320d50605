"""Keys: stable for ever, blind to where a step runs, strict about what may enter them."""

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mixgrid.errors import IdentityError
from mixgrid.identity import Proportion, Runtime, Settings, canonical_json, key_of, parse_proportion
from mixgrid.step import Step, artifact_folder

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
fractions = st.fractions(min_value=0, max_value=1, max_denominator=10**6).filter(lambda f: f > 0)


class Place(Runtime):
    location: str = "here"
    micro_batch: int = 1


class Old(Settings):
    proportion: Proportion
    epochs: int = 3


class New(Old):
    added_later: str = "as before"
    place: Place = Place()


def shuffled(value: Any, order: random.Random) -> Any:
    """The same value with every mapping's entries in another order."""
    if isinstance(value, dict):
        entries = [(name, shuffled(inner, order)) for name, inner in value.items()]
        order.shuffle(entries)
        return dict(entries)
    return [shuffled(inner, order) for inner in value] if isinstance(value, list) else value


def step_of(settings: Settings, **inputs: Any) -> Step:
    return Step(kind="subsample", settings=settings, label="a", title="a", inputs=inputs)


def test_key_of_a_known_step_is_the_sha256_of_its_text() -> None:
    # printf '{"inputs":{"rows":"9f2c"},"kind":"subsample","settings":{"proportion":"1/4"},"version":1}' | sha256sum
    expected = "f8fcb9edf3834153fcf5f95650254c875463c6b2b5cd2bff11a4b1463b9ebbb2"
    assert key_of("subsample", 1, {"proportion": Fraction(1, 4)}, {"rows": "9f2c"}) == expected


def test_key_of_text_beyond_ascii_is_the_sha256_of_its_utf8() -> None:
    # printf '{"inputs":{},"kind":"aggregate","settings":{"question":"größer?"},"version":2}' | sha256sum
    expected = "ba32e8c71f86523e391b236964b5906ab93b23a1f8319e09f87053630f2d3d63"
    assert key_of("aggregate", 2, {"question": "größer?"}, {}) == expected


@given(values, st.randoms(use_true_random=False))
def test_canonical_json_ignores_the_order_of_mappings(value: Any, order: random.Random) -> None:
    assert canonical_json(value) == canonical_json(shuffled(value, order))


@given(st.lists(values, min_size=2, max_size=2))
def test_canonical_json_of_a_list_keeps_its_order(pair: list[Any]) -> None:
    same = canonical_json(pair[0]) == canonical_json(pair[1])
    assert (canonical_json(pair) == canonical_json(pair[::-1])) == same


@given(st.text(min_size=1), st.text())
def test_key_differs_when_a_setting_moves_to_another_part(name: str, value: str) -> None:
    assert key_of("mix", 1, {name: value}, {}) != key_of("mix", 1, {}, {name: value})


def test_key_differs_by_kind_version_settings_and_inputs() -> None:
    parts: list[tuple[str, int, dict[str, Any], dict[str, Any]]] = [
        ("mix", 1, {}, {}), ("sft", 1, {}, {}), ("mix", 2, {}, {}), ("mix", 1, {"a": 1}, {}),
        ("mix", 1, {"a": True}, {}), ("mix", 1, {"a": "1"}, {}), ("mix", 1, {}, {"a": "1"}),
        ("mix", 1, {}, {"a": ["1"]}),
    ]  # fmt: skip
    assert len({key_of(*part) for part in parts}) == len(parts)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), {1, 2}, b"bytes", object(), 1j, Place(), range(3)]
)
def test_canonical_json_of_a_value_without_stable_form_raises_with_its_path(value: object) -> None:
    with pytest.raises(IdentityError, match=r"value\.recipe\.rates\[1\]"):
        canonical_json({"recipe": {"rates": [0.5, value]}})


def test_canonical_json_of_a_mapping_with_a_number_as_key_raises_with_its_path() -> None:
    with pytest.raises(IdentityError, match=r"value\.a: the mapping key 1 "):
        canonical_json({"a": {1: "x"}})


@pytest.mark.parametrize("written", ["1/4", "2/8", 0.25, "0.25", " 1/4 ", "25e-2", Fraction(1, 4)])
def test_proportion_in_any_spelling_gives_one_key(written: Any) -> None:
    assert step_of(Old(proportion=written)).key == step_of(Old(proportion=Fraction(1, 4))).key


@given(fractions)
def test_proportion_as_text_is_read_back_exactly(fraction: Fraction) -> None:
    assert parse_proportion(str(fraction)) == fraction
    assert Old(proportion=fraction).identity() == {"proportion": str(fraction)}


@pytest.mark.parametrize("value", [0, -1, 1.5, "1/0", "a", "", None, True, [1], "nan", "inf", float("nan"), "1/4/4"])
def test_proportion_that_is_no_fraction_of_one_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="write a fraction such as 1/16"):
        parse_proportion(value)


@pytest.mark.parametrize("k", ["1/4", "1"])
def test_key_with_a_setting_added_later_and_left_alone_stays(k: Any) -> None:
    assert step_of(New(proportion=k)).key == step_of(Old(proportion=k)).key
    assert step_of(New(proportion=k, added_later="differently")).key != step_of(Old(proportion=k)).key


@given(st.text(), st.integers())
def test_key_with_other_runtime_fields_stays(location: str, micro_batch: int) -> None:
    place = Place(location=location, micro_batch=micro_batch)
    settings = Old(proportion=Fraction(1))
    moved = Step(kind="subsample", settings=settings, label="a", title="b", runtime=place)
    assert moved.key == step_of(settings).key == step_of(New(proportion=Fraction(1), place=place)).key


def test_key_of_a_step_changes_with_its_inputs_and_their_order() -> None:
    one, two = (step_of(Old(proportion=Fraction(1, n))) for n in (1, 2))
    keys = {step_of(one.settings, rows=given).key for given in (one, two, [one, two], [two, one], [one])}
    assert len(keys) == 5


def test_settings_with_an_unknown_field_are_refused() -> None:
    with pytest.raises(ValidationError, match="epoch"):
        Old.model_validate({"proportion": 1, "epoch": 2})


@given(st.text(), st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
def test_folder_of_any_label_is_one_safe_name_below_its_kind(label: str, key: str) -> None:
    kind, name = artifact_folder("sft", label, key).split("/")
    assert kind == "sft"
    assert name.endswith(f"-{key[:16]}")
    assert len(name) < 120
    assert name.isascii()
    assert not name.startswith(".")
