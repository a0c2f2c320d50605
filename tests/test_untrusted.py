"""Hostile text in files that people open, read back as a spreadsheet reads them."""

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.results import write_table
from mixgrid.untrusted import LONGEST_CELL, bounded, csv_cell

FORMULAS = [
    "=1+1",
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\x00=1",
    "＝1",
    "－1",
    "\u00a0+1",
    "\ufeff=1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_a_spreadsheet_would_compute_gets_an_apostrophe(text: str) -> None:
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize(
    "text", ["", "lab.small", "1/4", "a=b", "'=1", "[-1]", "«-»", "5-3", " a", "数", "a\nb", '"=1"']
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert csv_cell(text) == text


@given(st.text(st.characters()) | st.text("=+-@\t\r\n \x00'\",a"))
def test_cell_is_one_cell_that_computes_nothing(text: str) -> None:
    cell = csv_cell(text)
    assert not cell.lstrip("\x00").strip().startswith(("=", "+", "-", "@"))
    assert csv_cell(cell) == cell
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(["left", cell, "right"])
    raw = written.getvalue().encode()
    assert list(csv.reader(io.StringIO(raw.decode(), newline=""))) == [["left", cell, "right"]]


def test_long_cell_is_cut_below_the_spreadsheet_s_limit_and_says_so() -> None:
    cell = csv_cell("=" + "x" * 1_000_000)
    assert len(cell) < 32_767
    assert cell.endswith("x [cut here: 968,002 more characters]")
    assert csv_cell("x" * LONGEST_CELL) == "x" * LONGEST_CELL


@given(st.text(st.characters()), st.integers(0, 50))
def test_bounded_text_is_the_text_or_its_beginning(text: str, limit: int) -> None:
    cut = bounded(text, limit)
    assert cut == text if len(text) <= limit else cut.startswith(f"{text[:limit]} [cut here: {len(text) - limit} more")
    assert len(cut) < limit + 60


def row(**changes: Any) -> dict[str, Any]:
    plain = {
        "model": "=cmd", "seed": 0, "experiments": ["=a"], "strategy": "@dmt", "proportion": "1/4",
        "proportions": [{"=math": "1"}], "ability": "a\r=b", "benchmark": "-5", "score": -0.5, "n": 200, "low": -1.0,
        "high": 0.25, "key": "c0",
    }  # fmt: skip
    return plain | changes


def test_table_in_csv_holds_no_formula_and_its_numbers_stay_numbers(tmp_path: Path) -> None:
    write_table([row(), row(seed=None, model="+1")], format="csv", path=tmp_path / "a.csv")
    first, second = csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(), newline=""))
    words = {"model": "'=cmd", "strategy": "'@dmt", "ability": "a\n=b", "benchmark": "'-5", "experiments": '["=a"]'}
    assert {name: first[name] for name in words} == words
    assert (first["score"], first["low"], first["n"], first["seed"]) == ("-0.5", "-1.0", "200", "0")
    assert (second["model"], second["seed"]) == ("'+1", "")
    assert pd.read_csv(tmp_path / "a.csv")["score"].tolist() == [-0.5, -0.5]


def test_table_in_parquet_keeps_text_as_it_is(tmp_path: Path) -> None:
    write_table([row()], format="parquet", path=tmp_path / "a.parquet")
    assert pd.read_parquet(tmp_path / "a.parquet").loc[0, ["model", "ability"]].tolist() == ["=cmd", "a\r=b"]
