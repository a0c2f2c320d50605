"""`mixgrid grade gsm8k`: verdicts for answers that were made elsewhere.

    {"id": 0, "completion": "16 - 3 - 4 = 9 eggs\\n#### 18"}  ->  {"id": 0, "strict": True, "flexible": True}

A wrong answer is a verdict; a row of answers that cannot be read is the user's error, and names its line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mixgrid.benchmarks.gsm8k import extract_strict, grade
from mixgrid.errors import AnswersError, SourceError
from mixgrid.grading.rows import read_row
from mixgrid.sources.files import BadRow, read_rows, shown

_ROW = '{"id": row number from 0, "completion": text}'


def grade_gsm8k_rows(answers: Iterable[str], data: Sequence[Mapping[str, object]]) -> Iterator[dict[str, object]]:
    """A verdict `{"id", "strict", "flexible"}` for each line of answers, in their order; ids may repeat.

    `data` are GSM8K's rows `{"question", "answer"}`; `id` is the place of one, from 0. Raises SourceError for a row of
    `data` without an answer in GSM8K's form, before any verdict, and AnswersError at the first bad line of answers.
    """
    references = [_reference_of(row, number) for number, row in enumerate(data)]
    for number, line in enumerate(answers, start=1):
        if line.removeprefix("\ufeff").strip():
            row, completion = _read_answer(line, number, len(references))
            verdict = grade(completion, references[row])
            yield {"id": row, "strict": verdict.strict, "flexible": verdict.flexible}


def read_gsm8k_data(location: str) -> list[Mapping[str, object]]:
    """The benchmark's rows from a file such as `test.jsonl` or `test.jsonl.gz`; the first bad one is a SourceError."""
    rows: list[Mapping[str, object]] = []
    for number, row in enumerate(read_rows(location)):
        if isinstance(row, BadRow):
            raise SourceError(f"{location}: {row.detail}: {row.reason}; this must be GSM8K's own file")
        if not isinstance(row, dict):
            raise SourceError(f"{location}: row {number} is {shown(row)}; it must be GSM8K's question and answer")
        _reference_of(row, number, location)
        rows.append(row)
    return rows


def _reference_of(row: Mapping[str, object], number: int, location: str = "GSM8K data") -> str:
    answer = row.get("answer")
    if not isinstance(answer, str) or extract_strict(answer) is None:
        fault = f"{location}: row {number}, 'answer': {shown(answer)} does not end in '#### NUMBER'"
        raise SourceError(f"{fault}; use GSM8K's own rows, with question and answer")
    return answer


def _read_answer(line: str, number: int, num_rows: int) -> tuple[int, str]:
    row = read_row(line, number, fields=("id", "completion"), form=_ROW)
    identifier = row["id"]
    if not isinstance(identifier, int) or isinstance(identifier, bool):
        raise AnswersError(f"line {number}, id: {shown(identifier)} is not an integer; give the row number from 0")
    if not 0 <= identifier < num_rows:
        allowed = f"0 to {num_rows - 1}" if num_rows else "none, as the data file has no rows"
        raise AnswersError(f"line {number}, id: {shown(identifier)} is out of range ({allowed}); check --data")
    return identifier, row["completion"]
