"""FastChat's files of answers and judgments, read and written.

    model_answer/vicuna.jsonl            {"question_id": 111, "answer_id": "3f...", "model_id": "vicuna",
                                          "choices": [{"index": 0, "turns": ["The area is 3.", ...]}], "tstamp": 1.7e9}
    model_judgment/gpt-4_single.jsonl    {"question_id": 111, "model": "vicuna", "judge": ["gpt-4", "single-math-v1"],
                                          "user_prompt": ..., "judgment": ..., "score": 9.0, "turn": 1, "tstamp": 1.7e9}

FastChat 0.2.36's `gen_judgment.py` reads the one and its `show_result.py` the other, where the score -1 is none.
Judgments have the fields `repeat`, `profile` and `reason` besides, which FastChat does not look at.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from mixgrid.errors import AnswersError
from mixgrid.judge.records import Judgment, ModelAnswer
from mixgrid.sources.files import BadRow, read_rows

UNSCORED = -1
Form = TypeVar("Form", bound=BaseModel)


class _Choice(BaseModel):
    turns: tuple[str, ...]


class _AnswerRow(BaseModel):
    question_id: int
    choices: tuple[_Choice, ...] = Field(min_length=1)


class _JudgmentRow(BaseModel):
    question_id: int
    model: str
    judge: tuple[str, str]
    user_prompt: str
    judgment: str
    score: float
    turn: int
    tstamp: float
    repeat: int = 0
    profile: str = "mt-bench"


def write_model_answers(folder: Path, model: str, answers: Iterable[ModelAnswer], *, answered_at: float) -> Path:
    """Write `<folder>/model_answer/<model>.jsonl`; `answered_at` is in seconds since 1970."""
    rows = [
        {
            "question_id": answer.question_id,
            "answer_id": hashlib.sha256(repr((model, answer)).encode("utf-8", "replace")).hexdigest()[:22],
            "model_id": model,
            "choices": [{"index": 0, "turns": list(answer.turns)}],
            "tstamp": answered_at,
        }
        for answer in sorted(answers, key=lambda answer: answer.question_id)
    ]
    return _write(folder / "model_answer" / f"{_file_name(model)}.jsonl", rows)


def read_model_answers(location: str) -> list[ModelAnswer]:
    """The first choice of each question, as FastChat judges it. Raises AnswersError for a row of another form."""
    return [ModelAnswer(row.question_id, row.choices[0].turns) for row in _read(location, _AnswerRow)]


def write_judgments(folder: Path, judge: str, judgments: Mapping[str, Sequence[Judgment]]) -> Path:
    """Write all models' judgments into `<folder>/model_judgment/<judge>_single.jsonl`.

    Raises ValueError for judgments of different profiles: their scales have nothing in common. A file of another
    profile than FastChat's own is named `<judge>-<profile>_single.jsonl`.
    """
    profiles = sorted({judgment.profile for group in judgments.values() for judgment in group})
    if len(profiles) > 1:
        raise ValueError(f"profiles {', '.join(profiles)}: their scales differ; write a file for each")
    name = judge if profiles in ([], ["mt-bench"]) else f"{judge}-{profiles[0]}"
    rows = [_judgment_row(model, judge, judgment) for model, group in judgments.items() for judgment in group]
    return _write(folder / "model_judgment" / f"{_file_name(name)}_single.jsonl", rows)


def read_judgments(location: str) -> dict[str, list[Judgment]]:
    """Judgments by model, FastChat's own too. Raises AnswersError for a row of another form."""
    found: dict[str, list[Judgment]] = {}
    for row in _read(location, _JudgmentRow):
        scored = row.score != UNSCORED
        judgment = Judgment(
            question_id=row.question_id, turn=row.turn, repeat=row.repeat, profile=row.profile,
            prompt_name=row.judge[1], prompt=row.user_prompt, reply=row.judgment, score=row.score if scored else None,
            reason=None if scored else "no rating", answered_at=row.tstamp,
        )  # fmt: skip
        found.setdefault(row.model, []).append(judgment)
    return found


def _judgment_row(model: str, judge: str, judgment: Judgment) -> dict[str, Any]:
    return {
        "question_id": judgment.question_id,
        "model": model,
        "judge": [judge, judgment.prompt_name],
        "user_prompt": judgment.prompt,
        "judgment": judgment.reply,
        "score": judgment.score if judgment.score is not None else UNSCORED,
        "turn": judgment.turn,
        "tstamp": judgment.answered_at or 0.0,
        "repeat": judgment.repeat,
        "profile": judgment.profile,
        "reason": judgment.reason,
    }


def _file_name(name: str) -> str:
    """A model's name as a file's: hub names hold a slash, and a name must not lead out of the folder."""
    return name.replace("/", "--").replace("\\", "--").lstrip(".") or "-"


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def _read(location: str, form: type[Form]) -> Iterator[Form]:
    for number, row in enumerate(read_rows(location), start=1):
        try:
            yield form.model_validate(row if not isinstance(row, BadRow) else row.detail)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise AnswersError(
                f"{location}, row {number}, {'.'.join(map(str, first['loc'])) or 'the row'}: {first['msg']}; "
                f"a row has the fields {', '.join(form.model_fields)}"
            ) from error
