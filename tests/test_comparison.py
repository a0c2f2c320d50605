"""Comparisons item by item: counts by hand, textbook values, and items that are not the same."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flows.compare_cells import SIDE, shown
from mixgrid.artifact import Artifact
from mixgrid.comparison import Comparison, compare_scores
from mixgrid.identity import Settings
from mixgrid.step import Step
from mixgrid.store import Store


class Named(Settings):
    name: str


def score(folder: Path, rows: list[dict[str, Any]], *, data: str = "test set", name: str = "a") -> Artifact:
    """A score in a store, as the score step leaves it."""
    store = Store(str(folder))
    source = Step(kind="download", version=1, settings=Named(name=data), inputs={}, label="data", title="data")
    step = Step(
        kind="score",
        version=1,
        settings=Named(name=name),
        inputs={"data": source},
        label=f"score-{name}",
        title="score",
    )
    with store.attempt(step) as attempt:
        pd.DataFrame(rows).to_parquet(attempt.folder / "items.parquet", index=False)
        return store.open(attempt.commit(ledger={}))


def graded(verdicts: str) -> list[dict[str, Any]]:
    """An item a character: `+` is right."""
    return [{"item": i, "prompt": f"p{i}", "answer": v, "correct": v == "+"} for i, v in enumerate(verdicts)]


def compare(folder: Path, first: Any, second: Any, benchmark: str = "lab.math") -> Comparison:
    found = compare_scores(
        score(folder, first, name="a"), score(folder, second, name="b"), ability="math", benchmark=benchmark
    )
    assert isinstance(found, Comparison)
    return found


def test_comparison_counts_what_both_and_what_only_one_got_right(tmp_path: Path) -> None:
    found = compare(tmp_path, graded("++++++--+-"), graded("++------+-"))
    assert (found.both, found.only_first, found.only_second, found.neither) == (3, 4, 0, 3)
    assert (found.first, found.second) == (0.7, 0.3)
    assert math.isclose(found.difference, 0.4)
    assert math.isclose(found.p, 2 * 0.5**4)  # four fair coins, all heads or all tails
    assert found.low < 0.4 < found.high
    assert [(item.item, item.first_answer, item.second_answer) for item in found.items] == [
        (i, "+", "-") for i in (2, 3, 4, 5)
    ]


def test_comparison_of_losses_is_of_nats_over_tokens(tmp_path: Path) -> None:
    tokens = [10, 20, 30, 40]
    first = [{"item": i, "nats": 0.5 * n + i, "tokens": n} for i, n in enumerate(tokens)]
    second = [{"item": i, "nats": 1.5 * n + i, "tokens": n} for i, n in enumerate(tokens)]
    found = compare(tmp_path, first, second, "response_loss")
    # (50 + 6) / 100 and (150 + 6) / 100; each example differs by one nat a token
    assert math.isclose(found.first, 0.56)
    assert math.isclose(found.second, 1.56)
    assert math.isclose(found.difference, -1.0)
    assert math.isclose(found.low, -1.0, abs_tol=1e-9)
    assert found.both is None


def test_comparison_of_other_items_is_refused(tmp_path: Path) -> None:
    one, other = score(tmp_path, graded("++"), name="a"), score(tmp_path, graded("++"), data="other", name="b")
    said = compare_scores(one, other, ability="math", benchmark="lab.math")
    assert isinstance(said, str)
    assert "data differ" in said


def test_comparison_takes_the_items_that_both_answered(tmp_path: Path) -> None:
    found = compare(tmp_path, graded("+-+-+"), graded("+-+"))
    assert (found.n, found.difference) == (3, 0.0)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("demo", ("demo", None, None)),
        ("demo:lab.small:dmt:1/4:0", ("demo", None, "lab.small:dmt:1/4:0")),
        ("demo:lab.small:base", ("demo", None, "lab.small:base")),
        ("a/my.yaml@runs", ("a/my.yaml", "runs", None)),
        ("demo@s3://bucket/x", ("demo", "s3://bucket/x", None)),
        ("demo@s3://bucket/x:lab.small:rq4.math:1:2", ("demo", "s3://bucket/x", "lab.small:rq4.math:1:2")),
    ],
)
def test_side_names_a_study_a_store_and_a_cell(text: str, parts: tuple[str | None, ...]) -> None:
    found = SIDE.fullmatch(text)
    assert found is not None
    assert found.group("study", "store", "cell") == parts


def test_shown_keeps_hostile_text_on_one_harmless_line() -> None:
    assert shown("a\x1b[2Jb\nc\u202ed") == "a\ufffd[2Jb\\nc\ufffdd"
    assert len(shown("x" * 10_000)) < 400
