"""The forms of benchmarks' own rows: what is asked is the user's turn, what a grader needs is the assistant's.

    math        {"problem": "Compute $1 + 1$.", "solution": "It is $\\\\boxed{2}$."}       the solution as it is
    human_eval  {"task_id", "prompt", "entry_point", "test"}                           JSON of all four
    mbpp        {"task_id", "text" or "prompt", "test_list", "code", ...}              JSON of tests and entry point
    ifeval      {"key", "prompt", "instruction_id_list", "kwargs"}                     JSON of all four, without nulls
    mt_bench    {"question_id", "category", "turns", "reference"}                      JSON of all but the turns

    read_math({"problem": "1 + 1?", "solution": "\\\\boxed{2}"}, 7)  ->  exchange("1 + 1?", "\\\\boxed{2}", origin=7)

Such JSON has its keys in order and no spaces. These rows are never trained on.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from mixgrid.benchmarks import humaneval, mbpp
from mixgrid.conversations import Conversation, Message, exchange
from mixgrid.errors import SourceError
from mixgrid.grading.math_answers import extract_boxed
from mixgrid.sources.fields import RejectedError, field_of, text_of
from mixgrid.sources.files import shown

Row = dict[str, Any]


def read_math(row: Row, origin: int) -> Conversation:
    """Hendrycks MATH: the solution ends in its boxed answer."""
    problem = text_of(field_of(row, "problem"), "user", "problem")
    solution = text_of(field_of(row, "solution"), "assistant", "solution")
    if extract_boxed(solution) is None:
        raise RejectedError("no \\boxed{} answer", f"solution is {shown(solution)}")
    return exchange(problem, solution, origin=origin)


def read_human_eval(row: Row, origin: int) -> Conversation:
    """HumanEval, or problems of the same form: the user's turn is the bare prompt."""
    try:
        problem = humaneval.problem_of(row, place="row")
    except SourceError as error:
        raise RejectedError("no HumanEval problem", str(error)) from None
    return exchange(text_of(problem.prompt, "user", "prompt"), _reference(asdict(problem)), origin=origin)


def read_mbpp(row: Row, origin: int) -> Conversation:
    """MBPP, whole or sanitized: the user's turn has the text and the tests."""
    try:
        problem = mbpp.problem_of(row, place="row")
    except SourceError as error:
        raise RejectedError("no MBPP problem that can be checked", str(error)) from None
    return exchange(text_of(mbpp.prompt_of(problem), "user", "prompt"), _reference(asdict(problem)), origin=origin)


def read_ifeval(row: Row, origin: int) -> Conversation:
    """IFEval: instructions by name, and their arguments, of which the hub's copy has all others as null."""
    prompt = text_of(field_of(row, "prompt"), "user", "prompt")
    names, arguments = field_of(row, "instruction_id_list"), field_of(row, "kwargs")
    if not (isinstance(names, list) and isinstance(arguments, list) and 0 < len(names) == len(arguments)):
        detail = f"instruction_id_list is {shown(names)}, kwargs {shown(arguments)}"
        raise RejectedError("instructions and arguments do not pair", detail)
    if not all(isinstance(given, dict) for given in arguments):
        raise RejectedError("instructions and arguments do not pair", f"kwargs is {shown(arguments)}")
    given = [{key: value for key, value in one.items() if value is not None} for one in arguments]
    reference = {"key": row.get("key"), "prompt": prompt, "instruction_id_list": names, "kwargs": given}
    return exchange(prompt, _reference(reference), origin=origin)


def read_mt_bench(row: Row, origin: int) -> Conversation:
    """MT-Bench: user turns, between which the assistant's are empty until a model has answered."""
    turns = field_of(row, "turns")
    if not (isinstance(turns, list) and turns):
        raise RejectedError("no user turn", f"turns is {shown(turns)}")
    reference = {name: field_of(row, name) for name in ("question_id", "category")}
    if not isinstance(reference["question_id"], int) or not isinstance(reference["category"], str):
        raise RejectedError("no MT-Bench question", f"question_id and category are {shown(reference)}")
    last = Message("assistant", _reference(reference | {"reference": row.get("reference")}))
    messages: list[Message] = []
    for number, turn in enumerate(turns):
        messages += [Message("user", text_of(turn, "user", f"turns[{number}]")), Message("assistant", "")]
    return Conversation((*messages[:-1], last), origin)


def _reference(fields: Mapping[str, object]) -> str:
    try:
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RejectedError("no JSON value", f"row has {shown(fields)} ({type(error).__name__})") from None
    return text_of(text, "assistant", "row")


FORMS: Mapping[str, tuple[str, ...]] = {
    "math": ("problem", "solution"),
    "human_eval": ("task_id", "prompt", "entry_point", "test"),
    "mbpp": ("task_id", "code", "test_list"),
    "ifeval": ("prompt", "instruction_id_list", "kwargs"),
    "mt_bench": ("question_id", "category", "turns"),
}
"""Each form's required columns."""

READERS: Mapping[str, Callable[[Row, int], Conversation]] = {
    "math": read_math,
    "human_eval": read_human_eval,
    "mbpp": read_mbpp,
    "ifeval": read_ifeval,
    "mt_bench": read_mt_bench,
}
