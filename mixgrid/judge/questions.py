"""MT-Bench's questions, judge prompts and references, in the files that FastChat publishes.

    question.jsonl         {"question_id": 111, "category": "math", "turns": ["The vertices of ...", "What ..."]}
    judge_prompts.jsonl    {"name": "single-v1", "type": "single", "system_prompt": ..., "prompt_template": ...}
    gpt-4.jsonl            {"question_id": 111, "choices": [{"index": 0, "turns": ["The area is 3.", "..."]}], ...}

fschat's wheel holds none of them: the user names paths or URLs. Formats and rules: FastChat 0e6d3e4,
`fastchat/llm_judge/common.py` and `gen_judgment.py`.
"""

import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixgrid.errors import SourceError
from mixgrid.judge.settings import ReferenceSet
from mixgrid.sources.files import BadRow, content_hash, read_rows, shown

REFERENCED = frozenset({"math", "reasoning", "coding"})
"""Categories whose answers are compared with a reference."""

_TEMPERATURES = MappingProxyType(
    {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}
    | dict.fromkeys(("extraction", "math", "coding", "reasoning"), 0.0)
)
_FIELDS = frozenset(
    {"question", "answer", "question_1", "question_2", "answer_1", "answer_2", "ref_answer_1", "ref_answer_2"}
)


Row = TypeVar("Row", bound=BaseModel)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class Question(_Row):
    """One question of one or two turns."""

    question_id: int
    category: str
    turns: tuple[str, ...] = Field(min_length=1, max_length=2)


class JudgePrompt(_Row):
    """One of FastChat's prompts; `prompt_template` has fields such as `{question}` and `{answer}`."""

    name: str
    type: str
    system_prompt: str
    prompt_template: str


class _Choice(_Row):
    turns: tuple[str, ...]


class _Reference(_Row):
    question_id: int
    choices: tuple[_Choice, ...] = Field(min_length=1)


@dataclass(frozen=True)
class File:
    """Which file it was: its name without the folder, and its SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Bench:
    """All that is judged with. `references` are by question, one text a turn."""

    questions: Mapping[int, Question]
    prompts: Mapping[str, JudgePrompt]
    prompt_file: File | None
    references: Mapping[int, tuple[str, ...]]
    reference_file: File | None
    reference_set: ReferenceSet | None


def read_bench(
    *, questions: str, prompts: str | None, references: str | None, reference_set: ReferenceSet | None = None
) -> Bench:
    """Read the files at these paths or URLs; see `make_bench`."""
    return make_bench(_rows(questions, Question), prompts=prompts, references=references, reference_set=reference_set)


def make_bench(
    questions: Iterable[Question], *, prompts: str | None, references: str | None, reference_set: ReferenceSet | None
) -> Bench:
    """Questions with the prompts and references at these paths or URLs.

    `prompts` may be None for a judge profile that brings its own, `references` for questions that need none. Raises
    SourceError for a missing file, a bad row or a missing reference.
    """
    asked = {question.question_id: question for question in questions}
    answers = {row.question_id: row.choices[0].turns for row in _rows(references, _Reference)} if references else {}
    for question in asked.values():
        if question.category in REFERENCED and len(answers.get(question.question_id, ())) < len(question.turns):
            raise SourceError(
                f"{references or 'references'}: no reference for each turn of question {question.question_id} "
                f"({question.category}); give FastChat's reference_answer/gpt-4.jsonl or a corrected file"
            )
    return Bench(
        questions=asked, prompts=_read_prompts(prompts) if prompts else {},
        prompt_file=_file(prompts) if prompts else None, references=answers,
        reference_file=_file(references) if references else None, reference_set=reference_set,
    )  # fmt: skip


def prompt_name(category: str, turn: int) -> str:
    """The prompt a question gets: `single-v1`, `single-math-v1`, or their `-multi-turn` form for turn 2."""
    name = "single-math-v1" if category in REFERENCED else "single-v1"
    return name if turn == 1 else f"{name}-multi-turn"


def answer_temperature(category: str) -> float:
    """The temperature at which a checkpoint answers a category; 0.7 for one that MT-Bench does not have."""
    return _TEMPERATURES.get(category, 0.7)


def _read_prompts(location: str) -> dict[str, JudgePrompt]:
    prompts = {row.name: row for row in _rows(location, JudgePrompt) if row.type == "single"}
    for prompt in prompts.values():
        try:
            parts = list(string.Formatter().parse(prompt.prompt_template))
        except ValueError as error:
            raise SourceError(f"{location}: prompt {prompt.name!r}: {error}; write a brace as {{{{ or }}}}") from error
        used = {
            name + (f":{form}" if form else "") + (convert or "")
            for _, name, form, convert in parts
            if name is not None
        }
        if used - _FIELDS:
            names = ", ".join(sorted(used - _FIELDS))
            raise SourceError(
                f"{location}: prompt {prompt.name!r} has the fields {names}; use {', '.join(sorted(_FIELDS))}"
            )
    return prompts


def _rows(location: str, form: type[Row]) -> Iterator[Row]:
    for number, row in enumerate(read_rows(location), start=1):
        if isinstance(row, BadRow):
            raise SourceError(f"{location}: {row.reason}, {row.detail}; download the file again")
        try:
            yield form.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or "the row"
            raise SourceError(
                f"{location}, row {number}, {field}: {first['msg']}, not {shown(first['input'])}; "
                f"a row has the fields {', '.join(form.model_fields)}"
            ) from error


def _file(location: str) -> File:
    return File(PurePosixPath(location).name, content_hash(location))
