"""Each row of each form becomes a conversation, or is rejected for the right reason; nothing disappears."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.conversations import Conversation, Message
from mixgrid.errors import SourceError
from mixgrid.sources.files import read_rows
from mixgrid.sources.forms import (
    FORMS,
    LEADING_ASSISTANT,
    TRAILING_USER,
    Normalised,
    Rejection,
    detect_form,
    normalise,
)

TWO = (Message("user", "1 + 1?"), Message("assistant", "2"))


def sharegpt(*turns: tuple[object, object]) -> dict[str, object]:
    return {"conversations": [{"from": role, "value": text} for role, text in turns]}


def messages(*turns: tuple[object, object]) -> dict[str, object]:
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def conversation_of(form: str, row: object) -> Conversation:
    result = normalise(form, row, origin=7)
    assert isinstance(result, Normalised), result
    return result.conversation


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("sharegpt", sharegpt(("human", "1 + 1?"), ("gpt", "2"))),
        ("sharegpt", sharegpt(("user", "1 + 1?"), ("chatgpt", "2"))),
        ("sharegpt", sharegpt(("human", "1 + 1?"), ("bing", "2"))),
        ("sharegpt", sharegpt(("human", "1 + 1?"), ("bard", "2"))),
        ("messages", messages(("user", "1 + 1?"), ("assistant", "2"))),
        ("alpaca", {"instruction": "1 + 1?", "input": "", "output": "2"}),
        ("alpaca", {"instruction": "1 + 1?", "input": None, "output": "2"}),
        ("alpaca", {"instruction": "1 + 1?", "output": "2", "response": "unused"}),
        ("query_response", {"query": "1 + 1?", "response": "2"}),
        ("query_response", {"question": "1 + 1?", "answer": "2"}),
        ("query_response", {"prompt": "1 + 1?", "completion": "2"}),
        ("query_response", {"prompt": "1 + 1?", "response": "2", "query": None}),
    ],
)
def test_each_form_gives_the_same_conversation_and_is_detected(form: str, row: object) -> None:
    assert normalise(form, row, origin=7) == Normalised(Conversation(TWO, 7))
    assert detect_form(row) == form


def test_alpaca_input_joins_the_instruction_after_a_blank_line() -> None:
    row = {"instruction": "Add.", "input": "1, 1", "output": "2"}
    assert conversation_of("alpaca", row).prompt == "Add.\n\n1, 1"


def test_text_keeps_its_spaces_and_line_ends() -> None:
    row = {"query": " a\r\n", "response": "\tb  "}
    assert [m.content for m in conversation_of("query_response", row).messages] == [" a\r\n", "\tb  "]


def test_system_message_is_kept_first() -> None:
    row = sharegpt(("system", "Be brief."), ("human", "1 + 1?"), ("gpt", "2"))
    assert conversation_of("sharegpt", row).messages == (Message("system", "Be brief."), *TWO)


@pytest.mark.parametrize(
    ("turns", "trims"),
    [
        ([("gpt", "Hello"), ("human", "1 + 1?"), ("gpt", "2")], (LEADING_ASSISTANT,)),
        ([("gpt", "Hello"), ("gpt", None), ("human", "1 + 1?"), ("gpt", "2")], (LEADING_ASSISTANT,)),
        ([("human", "1 + 1?"), ("gpt", "2"), ("human", "")], (TRAILING_USER,)),
        ([("gpt", "Hi"), ("human", "1 + 1?"), ("gpt", "2"), ("human", "?")], (LEADING_ASSISTANT, TRAILING_USER)),
    ],
)
def test_turns_without_use_are_cut_and_named(turns: list[tuple[object, object]], trims: tuple[str, ...]) -> None:
    assert normalise("sharegpt", sharegpt(*turns), origin=0) == Normalised(Conversation(TWO, 0), trims)


@pytest.mark.parametrize(
    ("form", "row", "reason"),
    [
        ("alpaca", {"instruction": "a", "input": ""}, "no 'output' field"),
        ("alpaca", {"input": "", "output": "b"}, "no 'instruction' field"),
        ("alpaca", {"instruction": "a", "output": ""}, "empty assistant turn"),
        ("alpaca", {"instruction": " \n", "output": "b"}, "empty user turn"),
        ("alpaca", {"instruction": ["a"], "output": "b"}, "user turn is not text"),
        ("alpaca", {"instruction": "a", "input": 3, "output": "b"}, "user turn is not text"),
        ("alpaca", {"instruction": "a", "output": float("nan")}, "assistant turn is not text"),
        ("alpaca", "a", "not an object"),
        ("alpaca", None, "not an object"),
        ("alpaca", ["a", "b"], "not an object"),
        ("query_response", {}, "no 'query' field"),
        ("query_response", {"question": "a"}, "no 'answer' field"),
        ("query_response", {"query": "a", "answer": "b"}, "no 'response' field"),
        ("query_response", {"query": "a", "response": "half \ud83d"}, "text is not valid Unicode"),
        ("sharegpt", {"messages": []}, "no 'conversations' field"),
        ("sharegpt", {"conversations": "a"}, "'conversations' is not a list"),
        ("sharegpt", {"conversations": []}, "no user turn"),
        ("sharegpt", {"conversations": ["a"]}, "turn is not an object"),
        ("sharegpt", {"conversations": [{"value": "a"}]}, "no 'from' field"),
        ("sharegpt", {"conversations": [{"from": "human"}, {"from": "gpt", "value": "b"}]}, "no 'value' field"),
        ("sharegpt", sharegpt(("human", "a"), ("tool", "b")), "unknown role"),
        ("sharegpt", sharegpt(("human", "a"), (["gpt"], "b")), "unknown role"),
        ("sharegpt", sharegpt(("human", "a"), ("human", "b"), ("gpt", "c")), "roles do not alternate"),
        ("sharegpt", sharegpt(("human", "a"), ("gpt", "b"), ("gpt", "c")), "roles do not alternate"),
        ("sharegpt", sharegpt(("human", "a")), "no assistant turn"),
        ("sharegpt", sharegpt(("gpt", "a"), ("human", "b")), "no assistant turn"),
        ("sharegpt", sharegpt(("gpt", "a")), "no user turn"),
        ("sharegpt", sharegpt(("human", "a"), ("system", "s"), ("gpt", "b")), "system message not first"),
        (
            "sharegpt",
            sharegpt(("system", "s"), ("system", "s"), ("human", "a"), ("gpt", "b")),
            "system message not first",
        ),
        ("sharegpt", sharegpt(("human", "a"), ("gpt", "\u3000")), "empty assistant turn"),
        ("messages", messages(("system", " "), ("user", "a"), ("assistant", "b")), "empty system turn"),
        ("messages", messages(("user", [{"type": "text", "text": "a"}]), ("assistant", "b")), "user turn is not text"),
    ],
)
def test_malformed_row_is_rejected_with_its_reason(form: str, row: object, reason: str) -> None:
    result = normalise(form, row, origin=7)
    assert isinstance(result, Rejection)
    assert (result.reason, result.origin) == (reason, 7)
    assert 0 < len(result.detail) < 400


def test_rejection_of_a_huge_value_has_a_short_detail() -> None:
    result = normalise("sharegpt", {"conversations": "x" * 10**6}, origin=0)
    assert isinstance(result, Rejection)
    assert len(result.detail) < 200


@pytest.mark.parametrize("row", [None, [], {}, {"task_id": "HumanEval/0", "prompt": "def f():"}, {"query": "a"}])
def test_rows_of_no_form_are_not_detected(row: object) -> None:
    assert detect_form(row) is None


def test_unknown_form_names_the_known_ones() -> None:
    with pytest.raises(SourceError, match=r"'vicuna' is not known; choose one of sharegpt, messages, alpaca"):
        normalise("vicuna", {}, origin=0)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["human", "gpt", "system", "user"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["conversations", "messages", "from", "value", "role", "content", "query", "response"])
            | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(form=st.sampled_from(list(FORMS)), row=json_values)
def test_any_json_value_is_normalised_or_rejected(form: str, row: object) -> None:
    result = normalise(form, row, origin=3)
    origin = result.origin if isinstance(result, Rejection) else result.conversation.origin
    assert origin == 3


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: bool(text.strip()))


@given(system=st.none() | texts, pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_multi_turn_forms_give_back_the_same_messages(system: str | None, pairs: list[tuple[str, str]]) -> None:
    opening = [("system", system)] if system else []
    turns = [*opening, *(turn for ask, answer in pairs for turn in (("user", ask), ("assistant", answer)))]
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    forms = {"messages": messages(*turns), "sharegpt": sharegpt(*((names[role], text) for role, text in turns))}
    for form, row in forms.items():
        result = normalise(form, row, origin=0)
        assert isinstance(result, Normalised)
        assert ([(m.role, m.content) for m in result.conversation.messages], result.trims) == (turns, ())


@pytest.mark.parametrize(
    ("file", "form", "accepted", "rejected"),
    [
        ("gsm8k/train.jsonl", "query_response", 7473, {}),
        ("gsm8k/test.jsonl", "query_response", 1319, {}),
        ("gsm8k_rft/train_use.jsonl", "query_response", 7473, {}),
        ("code_alpaca/code_alpaca_2k.json", "alpaca", 2015, {"empty assistant turn": 2}),
        ("code_alpaca/new_codealpaca.json", "alpaca", 4535, {}),
        ("sharegpt/dummy_conversation.json", "sharegpt", 500, {}),
        ("sharegpt/general_chat.json", "sharegpt", 1298, {}),
    ],
)
def test_real_file_is_accepted_or_rejected_row_by_row(
    test_data: Path, file: str, form: str, accepted: int, rejected: dict[str, int]
) -> None:
    rows = list(read_rows(str(test_data / file)))
    results = [normalise(form, row, origin=origin) for origin, row in enumerate(rows)]
    kept = [result for result in results if isinstance(result, Normalised)]
    assert {detect_form(row) for row in rows} == {form}
    assert (len(kept), Counter(r.reason for r in results if isinstance(r, Rejection))) == (accepted, rejected)
    assert len(rows) == accepted + sum(rejected.values())
    assert not any(result.trims for result in kept)
