"""Templates: fastchat's own text, and a loss on the assistant's turns alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastchat.conversation import get_conv_template
from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.conversations import Conversation, Message, exchange
from mixgrid.errors import StepError
from mixgrid.models import train_tokenizer
from mixgrid.templates import Example, encode, prompt_text, render
from mixgrid.tokens import write_examples

TEXTS = ["USER: What is 12 + 3? ASSISTANT: 12 + 3 = 15", "USER: Say hello. ASSISTANT: Hello! How are you?"] * 20
TOKENIZER = train_tokenizer(iter(TEXTS), vocabulary_size=400)
LETTERS = train_tokenizer(iter([""]), vocabulary_size=300)
"""259 tokens, no merges: one token a byte."""
TWO_TURNS = (
    Message("user", "Hi"),
    Message("assistant", "Hello!"),
    Message("user", "1 + 1?"),
    Message("assistant", "It is 2."),
)
SYSTEM = Message("system", "Be terse.")
PLAIN_AS_CHAT = (
    "<s>{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} "
    "{% else %}ASSISTANT: {{ m.content }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


@st.composite
def _conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    texts = draw(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6))
    turns = [Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts[: len(texts) // 2 * 2])]
    return (*([SYSTEM] if draw(st.booleans()) else []), *turns)


def _encoded(messages: tuple[Message, ...], *, template: str, tokenizer: Any = TOKENIZER) -> Example:
    return next(encode([Conversation(messages)], tokenizer=tokenizer, template=template, max_length=4096))


def _trained_on(example: Example, tokenizer: Any = TOKENIZER) -> str:
    return str(tokenizer.decode(example.tokens[example.mask], clean_up_tokenization_spaces=False))


def _chat_tokenizer(chat_template: str) -> Any:
    tokenizer = train_tokenizer(iter(TEXTS), vocabulary_size=400)
    tokenizer.chat_template = chat_template
    return tokenizer


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(min_size=1), min_size=2, max_size=6))
def test_vicuna_text_is_that_of_fastchat(texts: list[str]) -> None:
    theirs = get_conv_template("vicuna_v1.1")
    for index, text in enumerate(texts):
        theirs.append_message(theirs.roles[index % 2], text)
    messages = [Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]
    assert render(messages, tokenizer=TOKENIZER, template="vicuna")[0] == theirs.get_prompt()


def test_vicuna_prompt_is_that_of_fastchat_with_an_open_turn() -> None:
    theirs = get_conv_template("vicuna_v1.1")
    theirs.append_message("USER", "Hi")
    theirs.append_message("ASSISTANT", None)
    assert prompt_text(TWO_TURNS[:1], tokenizer=TOKENIZER, template="vicuna") == theirs.get_prompt()


def test_plain_text_is_the_turns_without_a_system_sentence() -> None:
    text, spans = render(TWO_TURNS, tokenizer=TOKENIZER, template="plain")
    assert text == "USER: Hi ASSISTANT: Hello!</s>USER: 1 + 1? ASSISTANT: It is 2.</s>"
    assert [text[start:end] for start, end in spans] == [" Hello!</s>", " It is 2.</s>"]


@pytest.mark.parametrize("template", ["vicuna", "plain"])
def test_system_message_replaces_the_system_sentence(template: str) -> None:
    text, _ = render((SYSTEM, *TWO_TURNS[:2]), tokenizer=TOKENIZER, template=template)
    assert text == "Be terse. USER: Hi ASSISTANT: Hello!</s>"


@pytest.mark.parametrize("template", ["vicuna", "plain"])
def test_masked_tokens_of_two_turns_are_the_answers_with_their_end_tokens(template: str) -> None:
    assert _trained_on(_encoded(TWO_TURNS, template=template)) == " Hello!</s> It is 2.</s>"


@settings(max_examples=40, deadline=None)
@given(messages=_conversations(), template=st.sampled_from(["vicuna", "plain"]))
def test_masked_tokens_of_any_conversation_are_the_assistants_and_no_others(
    messages: tuple[Message, ...], template: str
) -> None:
    answers = [message.content for message in messages if message.role == "assistant"]
    assert _trained_on(_encoded(messages, template=template)) == "".join(f" {answer}</s>" for answer in answers)


@settings(max_examples=40, deadline=None)
@given(messages=_conversations(), template=st.sampled_from(["vicuna", "plain"]))
def test_prompt_tokens_are_a_prefix_of_the_training_tokens(messages: tuple[Message, ...], template: str) -> None:
    prompt = TOKENIZER(prompt_text(messages[:-1], tokenizer=TOKENIZER, template=template))["input_ids"]
    example = _encoded(messages, template=template)
    assert example.tokens[: len(prompt)].tolist() == prompt
    assert example.mask[len(prompt) :].all()


def test_end_token_written_by_the_user_is_not_trained_on() -> None:
    example = _encoded((Message("user", "a</s>b"), Message("assistant", "c")), template="plain")
    assert _trained_on(example) == " c</s>"


def test_long_examples_are_cut_and_counted_in_the_ledger(tmp_path: Path) -> None:
    # <s> + 19 letters of "USER: ab ASSISTANT:" + " cd" + </s> = 24 tokens, 4 of them trained on
    rows = [exchange("ab", "cd"), exchange("ab", "cdefg"), exchange("a" * 30, "cd")]
    examples = list(encode(rows, tokenizer=LETTERS, template="plain", max_length=24))
    assert [_trained_on(e, LETTERS) for e in examples] == [" cd</s>", " cde", ""]
    figures = {"examples": 3, "tokens": 72, "response_tokens": 8, "truncated": 2, "fully_masked": 1}
    assert write_examples(tmp_path, "rows", examples) == figures
    assert np.load(tmp_path / "rows.offsets.npy").tolist() == [0, 24, 48, 72]


def test_ledger_of_no_example_is_all_zeros_and_named_after_its_part(tmp_path: Path) -> None:
    ledger = write_examples(tmp_path, "held_out", encode([], tokenizer=LETTERS, template="plain", max_length=24))
    assert ledger["held_out_examples"] == ledger["held_out_tokens"] == ledger["held_out_fully_masked"] == 0


def test_many_conversations_are_encoded_in_order_with_progress() -> None:
    told: list[float] = []
    rows = [exchange("n", str(i)) for i in range(700)]
    examples = encode(rows, tokenizer=LETTERS, template="plain", max_length=99, progress=lambda s, _: told.append(s))
    assert [_trained_on(e, LETTERS) for e in examples] == [f" {i}</s>" for i in range(700)]
    assert told == [512 / 700, 1.0]


def test_chat_template_that_reads_like_plain_gives_its_tokens_and_mask() -> None:
    chat = _encoded(TWO_TURNS, template="chat", tokenizer=_chat_tokenizer(PLAIN_AS_CHAT))
    plain = _encoded(TWO_TURNS, template="plain")
    assert chat.tokens.tolist() == plain.tokens.tolist()
    assert chat.mask.tolist() == plain.mask.tolist()


def test_chat_template_that_changes_the_prompt_once_answered_is_refused() -> None:
    template = "{% for m in messages %}[{{ loop.length }}]{{ m.content }}{% endfor %}"
    with pytest.raises(StepError, match="vicuna or plain"):
        _encoded(TWO_TURNS, template="chat", tokenizer=_chat_tokenizer(template))


def test_chat_template_that_shortens_earlier_answers_is_refused() -> None:
    # as templates do that drop the reasoning of earlier turns
    template = (
        "{% for m in messages %}{{ m.role }}:{% if loop.last or m.role == 'user' %}{{ m.content }}{% else %}"
        "{{ m.content[-2:] }}{% endif %}</s>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
    )
    with pytest.raises(StepError, match="vicuna or plain"):
        _encoded(TWO_TURNS, template="chat", tokenizer=_chat_tokenizer(template))
