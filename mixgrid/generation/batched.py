"""The engine `transformers`: one running batch; a finished row leaves at once and a waiting prompt takes its place.

    engine = BatchedEngine(model, tokenizer, batch_size=128)
    for index, answer in engine.answers([Prompt("USER: 1 + 1? ASSISTANT:")], max_new_tokens=64): ...

Answers differ in length by a factor of ten and more, so a batch that waits for its longest row mostly computes rows
that have ended. Prompts wait in order of length, the shortest first: rows that have come far and prompts that are long
are then about as wide, and fewer columns of keys and values are read for nothing.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from mixgrid.generation.ending import Ending
from mixgrid.generation.engine import Answer, Prompt
from mixgrid.generation.sampling import draws, next_tokens

REFILL_SHARE = 0.25
"""Of the rows; waiting prompts are admitted when so many are free: at every free row they would be read one by one, and
without refilling a batch takes about twice the steps."""


class Decoder(Protocol):
    """The rows of a batch and their next-token logits. `refills`: prompts may come while others are being answered."""

    refills: bool

    def admit(self, prompts: Sequence[Sequence[int]]) -> None:
        """More rows: prompts' tokens but the last ones, which are the rows' first tokens of `step`."""

    def step(self, tokens_N: Tensor) -> Tensor:
        """The logits after one more token a row, N x V."""

    def keep(self, rows: Sequence[int]) -> None:
        """Row i becomes what row rows[i] was; rows that are not named are gone."""


@dataclass
class _Row:
    """A prompt that is being answered; `token` is the one that comes next into the model."""

    index: int
    prompt: Prompt
    token: int
    draws: list[float]
    new: list[int] = field(default_factory=list)


class BatchedEngine:
    """See `mixgrid.generation.engine.Engine`. Answers in fp32 are those of one prompt at a time, up to rounding."""

    name = "transformers"

    def __init__(self, model: Any, tokenizer: Any, *, batch_size: int, add_special_tokens: bool = True) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._batch_size, self._add_special_tokens = batch_size, add_special_tokens

    @torch.inference_mode()
    def answers(
        self, prompts: Sequence[Prompt], *, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> Iterator[tuple[int, Answer]]:
        """The number of a prompt and its answer, each as soon as it is there."""
        encoded = encode(self._tokenizer, prompts, add_special_tokens=self._add_special_tokens)
        waiting = deque(sorted(range(len(prompts)), key=lambda i: len(encoded[i])))
        decoder = choose_decoder(self._model, rows=min(self._batch_size, len(prompts)))
        ending = Ending(self._tokenizer, max_new_tokens=max_new_tokens, stop=stop)
        rows: list[_Row] = []
        while rows or waiting:
            if waiting and self._admits(len(rows), refills=decoder.refills):
                chosen = [waiting.popleft() for _ in range(min(self._batch_size - len(rows), len(waiting)))]
                decoder.admit([encoded[i][:-1] for i in chosen])
                rows += [_row(i, prompts[i], encoded[i], max_new_tokens=max_new_tokens) for i in chosen]
            logits_NV = decoder.step(torch.tensor([row.token for row in rows], device=self._model.device))
            ended = _advance(rows, logits_NV, ending)
            yield from ((rows[i].index, answer) for i, answer in ended.items())
            if ended:
                kept = _close_ranks(len(rows), gone=ended.keys())
                decoder.keep(kept)
                rows = [rows[i] for i in kept]

    def _admits(self, busy: int, *, refills: bool) -> bool:
        free = self._batch_size - busy
        return busy == 0 or (refills and free >= max(1, self._batch_size * REFILL_SHARE))


def encode(tokenizer: Any, prompts: Sequence[Prompt], *, add_special_tokens: bool) -> list[list[int]]:
    """Token numbers of each prompt. An empty prompt begins as a text does, or else after an end."""
    if not prompts:
        return []
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    encoded = tokenizer([prompt.text for prompt in prompts], add_special_tokens=add_special_tokens)["input_ids"]
    return [ids or [first] for ids in encoded]


def choose_decoder(model: Any, *, rows: int) -> Decoder:
    """The leanest decoder that fits the model."""
    from mixgrid.generation import lean_decoder, padded_decoder, slot_decoder

    if lean_decoder.fits(model) is None:
        return lean_decoder.LeanDecoder(model, rows=rows)
    if slot_decoder.fits(model) is None:
        return slot_decoder.SlotDecoder(model, rows=rows)
    return padded_decoder.PaddedDecoder(model)


def _row(index: int, prompt: Prompt, ids: Sequence[int], *, max_new_tokens: int) -> _Row:
    numbers = draws(prompt.seed, max_new_tokens) if prompt.temperature > 0 else [0.0] * max_new_tokens
    return _Row(index, prompt, ids[-1], numbers)


def _advance(rows: Sequence[_Row], logits_NV: Tensor, ending: Ending) -> dict[int, Answer]:
    """Give each row its next token; the answers of those that have ended with it."""
    chosen_N = next_tokens(
        logits_NV,
        temperatures=[row.prompt.temperature for row in rows],
        numbers=[row.draws[len(row.new)] for row in rows],
    )
    ended = {}
    for i, (row, token) in enumerate(zip(rows, chosen_N.tolist(), strict=True)):
        row.token = token
        row.new.append(token)
        if ending.reached(row.new):
            ended[i] = ending.answer(row.new)
    return ended


def _close_ranks(count: int, *, gone: Any) -> list[int]:
    """Which row each place has next: the last ones move into the gaps, the others stay where they are."""
    kept = [i for i in range(count) if i not in gone]
    late = [i for i in kept if i >= len(kept)]
    return [i if i not in gone else late.pop() for i in range(len(kept))]
