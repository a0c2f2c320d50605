"""The forms a row can have, and the way from each to a conversation; benchmarks' own are in benchmark_forms.py.

    sharegpt        {"conversations": [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "2"}]}
    messages        {"messages": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]}
    alpaca          {"instruction": "Add the numbers.", "input": "1, 1", "output": "2"}
    query_response  {"query": "1 + 1?", "response": "2"}, or question/answer, prompt/completion, prompt/response

    normalise("query_response", {"query": "1 + 1?", "response": "2"}, origin=7)
    ->  Normalised(Conversation((Message("user", "1 + 1?"), Message("assistant", "2")), origin=7), trims=())

Text is kept to the character. Turns that no answer can be learned from are cut and named in `trims`; any other fault
rejects the whole row with a reason. Each row ends as exactly one of the two, so that the counts add up.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mixgrid.conversations import Conversation, Message, Role, exchange
from mixgrid.errors import SourceError
from mixgrid.sources import benchmark_forms
from mixgrid.sources.fields import RejectedError, field_of, text_of
from mixgrid.sources.files import shown

FORMS: dict[str, tuple[str, ...]] = {
    "sharegpt": ("conversations",),
    "messages": ("messages",),
    "alpaca": ("instruction", "output"),
    "query_response": ("query", "response"),
    **benchmark_forms.FORMS,
}
"""Each form's required columns; `query_response` also goes by the other names in `PAIRS`."""

PAIRS = (("query", "response"), ("question", "answer"), ("prompt", "completion"), ("prompt", "response"))

ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
}

# FastChat's preprocess also skips a first turn that is not the human's (fastchat/train/train.py).
LEADING_ASSISTANT = "assistant turns before the first user turn cut"
TRAILING_USER = "trailing user turn without an answer cut"


@dataclass(frozen=True)
class Normalised:
    """A row as a conversation, and what was cut from it (`LEADING_ASSISTANT`, `TRAILING_USER`)."""

    conversation: Conversation
    trims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejection:
    """A row that cannot be used. `reason` is one of a few short texts to count by; `detail` has the place and value."""

    reason: str
    origin: int
    detail: str


def normalise(form: str, row: object, *, origin: int) -> Normalised | Rejection:
    """The row, read as `form`, or why it is rejected; `origin` is its number from 0.

    Raises SourceError only for a `form` that does not exist: no row can stop the reading.
    """
    if form not in FORMS:
        raise SourceError(f"form: {shown(form)} is not known; choose one of {', '.join(FORMS)}")
    try:
        return _read(form, row, origin)
    except RejectedError as rejected:
        return Rejection(rejected.reason, origin, rejected.detail)


def detect_form(row: object) -> str | None:
    """The form whose columns the row has (null counts as absent), in the order of `FORMS`; None if it has no form's."""
    if not isinstance(row, dict):
        return None
    for form, columns in FORMS.items():
        choices = PAIRS if form == "query_response" else (columns,)
        if any(all(row.get(column) is not None for column in choice) for choice in choices):
            return form
    return None


def _read(form: str, row: object, origin: int) -> Normalised:
    if not isinstance(row, dict):
        raise RejectedError("not an object", f"row is {shown(row)}; it must have {', '.join(FORMS[form])}")
    if form == "sharegpt":
        return _read_turns(row, "conversations", "from", "value", origin)
    if form == "messages":
        return _read_turns(row, "messages", "role", "content", origin)
    if form == "alpaca":
        return Normalised(_read_alpaca(row, origin))
    if form in benchmark_forms.READERS:
        return Normalised(benchmark_forms.READERS[form](row, origin))
    query, response = _pair_of(row)
    prompt = text_of(field_of(row, query), "user", query)
    return Normalised(exchange(prompt, text_of(field_of(row, response), "assistant", response), origin=origin))


def _read_alpaca(row: dict[str, Any], origin: int) -> Conversation:
    instruction = text_of(field_of(row, "instruction"), "user", "instruction")
    given = row.get("input")
    if not (given is None or (isinstance(given, str) and not given.strip())):
        instruction += "\n\n" + text_of(given, "user", "input")
    return exchange(instruction, text_of(field_of(row, "output"), "assistant", "output"), origin=origin)


def _pair_of(row: dict[str, Any]) -> tuple[str, str]:
    """The first pair of names that the row has in full; else the first whose prompt it has, to say what is missing."""
    whole = (pair for pair in PAIRS if all(row.get(column) is not None for column in pair))
    begun = (pair for pair in PAIRS if row.get(pair[0]) is not None)
    return next(whole, None) or next(begun, PAIRS[0])


def _read_turns(row: dict[str, Any], column: str, role_key: str, text_key: str, origin: int) -> Normalised:
    turns = field_of(row, column)
    if not isinstance(turns, list):
        raise RejectedError(f"'{column}' is not a list", f"'{column}' is {shown(turns)}")
    spoken = [(_role(turn, role_key, f"{column}[{n}]"), n) for n, turn in enumerate(turns)]
    kept, trims = _trim(spoken)
    messages = tuple(
        Message(role, text_of(field_of(turns[n], text_key, f"{column}[{n}]"), role, f"{column}[{n}].{text_key}"))
        for role, n in kept
    )
    return Normalised(Conversation(messages, origin), trims)


def _trim(turns: list[tuple[Role, int]]) -> tuple[list[tuple[Role, int]], tuple[str, ...]]:
    """The turns (role, place) from the first user turn to the last answer, after any opening system message; the cuts.

    This comes before the text is looked at: a fault in a turn that is cut anyway costs no conversation.
    """
    names = " ".join(role for role, _ in turns[:12])
    opening = turns[:1] if turns and turns[0][0] == "system" else []
    rest = turns[len(opening) :]
    first = next((at for at, (role, _) in enumerate(rest) if role == "user"), None)
    if first is None:
        raise RejectedError("no user turn", f"turns: {names or 'none'}")
    if any(role == "system" for role, _ in rest):
        raise RejectedError("system message not first", f"turns: {names}")
    if any(before == after for (before, _), (after, _) in pairwise(rest[first:])):
        raise RejectedError("roles do not alternate", f"turns: {names}")
    unanswered = rest[-1][0] == "user"
    kept = rest[first : len(rest) - unanswered]
    if not kept:
        raise RejectedError("no assistant turn", f"turns: {names}")
    trims = ((LEADING_ASSISTANT, first > 0), (TRAILING_USER, unanswered))
    return opening + kept, tuple(name for name, made in trims if made)


def _role(turn: object, key: str, place: str) -> Role:
    if not isinstance(turn, dict):
        raise RejectedError("turn is not an object", f"{place} is {shown(turn)}")
    name = field_of(turn, key, place)
    if not isinstance(name, str) or name not in ROLES:
        raise RejectedError("unknown role", f"{place}.{key} is {shown(name)}; known are {', '.join(ROLES)}")
    return ROLES[name]
