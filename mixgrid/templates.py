"""Templates: how a conversation becomes text, and which of it the loss is taken on.

    vicuna   "A chat between a curious user ... USER: Hi ASSISTANT: Hello!</s>USER: ..."  (fastchat's vicuna_v1.1)
    plain    the same without the system sentence: it would multiply every length of the lab
    chat     the tokenizer's own chat template

Loss is taken on the assistant's turns with the end token after each, and on nothing else. A prompt for a benchmark is
the same text up to where the assistant's turn begins, so that a checkpoint is asked the way it was trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixgrid.conversations import Conversation, Message
from mixgrid.errors import StepError
from mixgrid.progress import Progress, silent

_CHUNK = 512


@dataclass(frozen=True)
class Example:
    """Token numbers and, for each, whether the loss is taken on it. `truncated`: it was cut at the maximum length."""

    tokens: NDArray[np.int32]
    mask: NDArray[np.bool_]
    truncated: bool


def encode(
    conversations: Sequence[Conversation],
    *,
    tokenizer: Any,
    template: str,
    max_length: int,
    progress: Progress = silent,
) -> Iterator[Example]:
    """Tokenise conversations in order. Raises StepError where a chat template cannot be masked."""
    for start in range(0, len(conversations), _CHUNK):
        chunk = conversations[start : start + _CHUNK]
        rendered = [render(c.messages, tokenizer=tokenizer, template=template) for c in chunk]
        encoded = tokenizer(
            [text for text, _ in rendered],
            return_offsets_mapping=True,
            add_special_tokens=template != "chat",
            verbose=False,
        )
        for ids, offsets, (_, spans) in zip(encoded["input_ids"], encoded["offset_mapping"], rendered, strict=True):
            mask = _mask(np.asarray(offsets, dtype=np.int64).reshape(-1, 2), spans)
            yield Example(np.asarray(ids[:max_length], dtype=np.int32), mask[:max_length], len(ids) > max_length)
        progress((start + len(chunk)) / len(conversations), f"{start + len(chunk)}/{len(conversations)} examples")


def prompt_text(messages: Sequence[Message], *, tokenizer: Any, template: str) -> str:
    """The text up to where the assistant's next turn begins."""
    return _text(messages, tokenizer=tokenizer, template=template, open_turn=True)


def render(messages: Sequence[Message], *, tokenizer: Any, template: str) -> tuple[str, list[tuple[int, int]]]:
    """The whole text, and the character spans of the assistant's turns, end token included."""
    text = _text(messages, tokenizer=tokenizer, template=template, open_turn=False)
    spans = []
    for index, message in enumerate(messages):
        if message.role == "assistant":
            before = prompt_text(messages[:index], tokenizer=tokenizer, template=template)
            after = _text(messages[: index + 1], tokenizer=tokenizer, template=template, open_turn=False)
            if not (after.startswith(before) and text.startswith(after)):
                raise StepError(
                    f"template {template}: the text up to an assistant's turn changes once the turn, or a later one, "
                    "is there, so its loss cannot be masked; use template vicuna or plain"
                )
            spans.append((len(before), len(after)))
    return text, spans


def vicuna_text(messages: Sequence[Message], *, template: str, end_token: str, open_turn: bool = False) -> str:
    """The text of `vicuna` or `plain`, with an assistant's turn left open at the end if asked for."""
    from fastchat.conversation import get_conv_template

    conversation = get_conv_template("vicuna_v1.1")
    conversation.sep2 = end_token
    if template == "plain":
        conversation.system_message = ""
    for message in messages:
        if message.role == "system":
            conversation.system_message = message.content
        else:
            conversation.append_message(conversation.roles[message.role == "assistant"], message.content)
    if open_turn:
        conversation.append_message(conversation.roles[1], None)
    return str(conversation.get_prompt()).removeprefix(" ")


def _text(messages: Sequence[Message], *, tokenizer: Any, template: str, open_turn: bool) -> str:
    if template == "chat":
        rows = [{"role": m.role, "content": m.content} for m in messages]
        return str(tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=open_turn))
    return vicuna_text(messages, template=template, end_token=tokenizer.eos_token, open_turn=open_turn)


def _mask(offsets: NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """True for tokens that cover a character of a span; special tokens that cover none are not trained on."""
    mask = np.zeros(len(offsets), dtype=bool)
    for start, end in spans:
        mask |= (offsets[:, 1] > start) & (offsets[:, 0] < end)
    return mask & (offsets[:, 1] > offsets[:, 0])
