"""HumanEval's own 164 solutions pass in each mode, as root and as a plain user; broken ones do not."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mixgrid.sandbox import Case
from mixgrid.sandbox.launch import Mode


@pytest.fixture(scope="module")
def problems(test_data: Path) -> list[dict[str, str]]:
    with gzip.open(test_data / "human_eval/HumanEval.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def case_of(problem: dict[str, str], body: str) -> Case:
    return Case(
        program=problem["prompt"] + body, entry_point=problem["entry_point"], check=problem["test"], timeout_s=20
    )


def test_all_canonical_solutions_pass(
    problems: list[dict[str, str]], run_cases: Any, mode: Mode, as_nobody: bool
) -> None:
    cases = [case_of(problem, problem["canonical_solution"]) for problem in problems]
    report = run_cases(cases, mode=mode, as_nobody=as_nobody)
    assert Counter(verdict.outcome for verdict in report.verdicts) == {"passed": 164}
    assert report.left_over == 0
    print(f"{mode}: {report.seconds:.1f} s, {report.cpu_seconds / 164 * 1000:.0f} CPU-ms a problem")


def test_solutions_that_return_nothing_or_raise_do_not_pass(problems: list[dict[str, str]], run_cases: Any) -> None:
    cases = [case_of(problem, body) for problem in problems[:30] for body in ("    return\n", "    return 1 / 0\n")]
    outcomes = [verdict.outcome for verdict in run_cases(cases, mode="native").verdicts]
    assert outcomes == ["failed", "error"] * 30
