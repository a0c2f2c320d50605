"""The paper's tables as data, against the numbers as they are printed; and what its own noise allows it to claim."""

import pytest

from mixgrid.findings import Finding
from mixgrid.paper import paper_evidence, paper_rows, printed_scores
from mixgrid.weighing import weigh_all

TABLE_1 = """
General only     | 11.10 / 10.42 / 5.88 | 14.02 / 16.40 / 6.13 | 26.06 / 24.30 / 6.63
Math only        | 49.10 / 6.71 / 2.53 | 51.40 / 12.8 / 2.54 | 57.91 / 15.5 / 3.18
Code only        | 4.51 / 18.40 / 4.30 | 5.15 / 17.1 / 3.53 | 6.06 / 26.82 / 4.18
Multi-task       | 47.53 / 14.63 / 5.76 | 50.94 / 19.50 / 5.73 | 56.69 / 18.9 / 6.07
Sequential       | 31.39 / 15.85 / 5.72 | 39.12 / 20.12 / 5.93 | 47.27 / 24.80 / 6.73
Mixed sequential | 32.60 / 15.24 / 6.02 | 40.48 / 18.30 / 5.93 | 44.24 / 24.4 / 6.43
DMT, k=1/256     | 41.92 / 17.68 / 6.08 | 46.47 / 19.50 / 6.03 | 56.36 / 25.00 / 6.73
"""
APPENDIX = """
1     | 49.10 / 18.4 / 5.88 | 51.4 / 18.4 / 6.13 | 57.91 / 26.82 / 6.63
1/4   | 43.37 / 11.58 / 5.85 | 48.59 / 13.41 / 6.03 | 56.10 / 25.61 / 6.66
1/16  | 35.90 / 12.19 / 5.61 | 43.00 / 12.80 / 5.66 | 54.60 / 21.95 / 6.17
1/64  | 22.71 / 9.14 / 5.11 | 27.40 / 12.20 / 5.24 | 44.60 / 18.59 / 5.99
1/256 | 12.70 / 5.48 / 4.00 | 18.40 / 10.36 / 2.95 | 29.21 / 14.02 / 2.3
1     | 47.53 / 14.63 / 5.76 | 50.49 / 17.10 / 5.73 | 56.69 / 18.9 / 6.07
1/4   | 41.98 / 9.14 / 5.48 | 48.52 / 14.00 / 5.61 | 54.54 / 22.56 / 5.92
1/16  | 32.97 / 9.16 / 5.22 | 40.63 / 14.60 / 5.52 | 53.33 / 26.82 / 6.26
1/64  | 25.77 / 14.63 / 5.27 | 33.2 / 17.68 / 5.24 | 46.66 / 18.6 / 5.73
1/256 | 14.78 / 11.37 / 4.11 | 24.94 / 12.19 / 4.4 | 36.54 / 17.68 / 4.58
"""
RQ3 = """
1     | 47.53 / 14.63 / 5.76 | 47.53 / 14.63 / 5.76 | 47.68 / 14.63 / 5.09
1/4   | 48.44 / 15.85 / 5.73 | 41.31 / 10.97 / 5.81 | 43.29 / 12.19 / 5.07
1/16  | 47.99 / 15.24 / 5.27 | 33.20 / 11.58 / 5.76 | 33.81 / 12.19 / 5.17
1/64  | 47.23 / 14.63 / 5.16 | 25.17 / 12.19 / 5.84 | 26.23 / 12.19 / 5.12
1/256 | 48.52 / 16.46 / 4.69 | 16.52 / 9.14 / 5.82 | 18.27 / 10.36 / 5.12
"""
ABLATION = """
all | 49.05 / 17.68 / 5.80 | 43.13 / 15.85 / 5.71 | 36.23 / 10.36 / 5.38 | 25.62 / 10.97 / 5.21 | 15.31 / 11.37 / 4.38
"""
DMT = """
0     | 32.6 / 15.24 / 6.02 | 40.48 / 18.30 / 5.93
1/256 | 41.92 / 17.68 / 6.08 | 46.47 / 19.5 / 6.03
1/64  | 42.53 / 15.85 / 6.01 | 47.61 / 15.24 / 6.03
1/16  | 43.3 / 15.24 / 5.78 | 48.59 / 18.9 / 5.96
1/4   | 48.37 / 13.41 / 5.69 | 50.18 / 18.9 / 5.83
1     | 45.79 / 14.02 / 5.63 | 50.49 / 16.46 / 5.76
"""


def numbers(table: str) -> list[str]:
    """The numbers of a printed table, row by row."""
    return [
        n for line in table.strip().splitlines() for n in " / ".join(line.split(" | ")[1:]).replace(" ", "").split("/")
    ]


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("table 1 (v4)", TABLE_1), ("appendix (v1)", APPENDIX), ("rq3", RQ3), ("ablation", ABLATION),
        ("dmt sweep", DMT),
    ],
)  # fmt: skip
def test_table_has_the_printed_numbers_in_their_order(name: str, printed: str) -> None:
    entered = [line["score"] for line in printed_scores() if line["table"] == name]
    assert [float(n) for n in entered] == [float(n) for n in numbers(printed)]


def score(model: str, stages: list[dict[str, str]], benchmark: str) -> float:
    rows = [r for r in paper_rows() if (r["model"], r["proportions"], r["benchmark"]) == (model, stages, benchmark)]
    assert len(rows) == 1
    return float(rows[0]["score"])


def test_cells_are_those_of_the_printed_lines() -> None:
    both = {"code": "1", "math": "1"}
    assert score("llama-13b", [both, {"general": "1", "code": "1/16", "math": "1/16"}], "gsm8k") == 0.4859
    assert score("llama-7b", [{"code": "1/4", "math": "1/4", "general": "1/64"}], "humaneval") == 0.1219
    assert score("llama-7b", [{"code": "1", "math": "1", "general": "1/256"}], "mt_bench") == 4.69
    assert score("llama-33b", [{"math": "1/64"}], "gsm8k") == 0.4460
    assert score("llama-33b", [{"code": "1"}, {"math": "1"}, {"general": "1"}], "mt_bench") == 6.73


def test_number_that_two_versions_print_differently_counts_as_in_the_newer_one() -> None:
    assert score("llama-13b", [{"code": "1"}], "humaneval") == 0.171  # 18.4 in v1
    assert score("llama-13b", [{"code": "1", "math": "1", "general": "1"}], "gsm8k") == 0.5094  # 50.49 in v1


def test_standard_errors_are_those_that_reviewers_computed() -> None:
    half = {
        row["benchmark"]: row["high"] - row["low"]
        for row in paper_rows()
        if row["low"] and row["key"] == "llama-7b: code"
    }
    assert half["humaneval"] / 2 / 1.96 == pytest.approx(0.030, abs=0.002)
    math_only = next(r for r in paper_rows() if r["key"] == "llama-7b: math" and r["benchmark"] == "gsm8k")
    assert (math_only["high"] - math_only["low"]) / 2 / 1.96 == pytest.approx(0.0138, abs=0.0002)


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in weigh_all(paper_evidence())}


def test_humaneval_of_one_model_decides_no_part_of_the_papers_claims(findings: dict[str, Finding]) -> None:
    within = [e for f in findings.values() if f.name != "size" for e in f.effects if e.benchmark == "humaneval"]
    assert len(within) > 20
    assert {effect.verdict for effect in within} == {"open"}
    assert min(effect.detectable or 0 for effect in within if "minus mixed" in effect.words) > 0.1


def test_gsm8k_decides_that_a_little_comes_back_and_that_own_data_counts(findings: dict[str, Finding]) -> None:
    dmt = [e for e in findings["dmt"].effects if e.benchmark == "gsm8k" and "mixed sequential" in e.words]
    assert [effect.verdict for effect in dmt] == ["for"] * 3
    assert dmt[0].value == pytest.approx(0.0932)
    assert {e.verdict for e in findings["ratio"].effects if e.benchmark == "gsm8k"} == {"for"}


def test_without_a_spread_for_mt_bench_no_claim_is_supported(findings: dict[str, Finding]) -> None:
    assert {finding.verdict for finding in findings.values() if finding.number <= 7} == {"undecided"}
    assert {e.low for f in findings.values() for e in f.effects if e.benchmark == "mt_bench"} == {None}


def test_assumed_spread_gives_mt_bench_an_interval() -> None:
    assumed = {finding.name: finding for finding in weigh_all(paper_evidence(mt_bench_sd=2.0))}
    rating = next(e for e in assumed["multi_task"].effects if e.benchmark == "mt_bench" and e.words.endswith("alone"))
    assert rating.low is not None
    assert rating.high is not None
    assert rating.high - rating.low == pytest.approx(2 * 1.96 * 2**0.5 * 2 / 80**0.5, rel=1e-3)
