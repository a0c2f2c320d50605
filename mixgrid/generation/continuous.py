"""The engine `continuous`: transformers' continuous batching, keys and values in pages, for CUDA.

    engine = ContinuousEngine(model, tokenizer, batch_size=256)
    list(engine.answers([Prompt("USER: 1 + 1? ASSISTANT:")], max_new_tokens=64))

It only logs what goes wrong, so it is not taken at its word: the first prompts are answered on trial, and each of their
tokens must be the likeliest of a plain forward pass; and each prompt must have an answer in the end. Otherwise the
engine `transformers` answers, with a warning that says why. That one also answers prompts with a temperature:
continuous batching has no seed a prompt.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from mixgrid.generation.batched import BatchedEngine, encode
from mixgrid.generation.ending import Ending
from mixgrid.generation.engine import Answer, Prompt

TRIAL_PROMPTS, TRIAL_TOKENS = 8, 32
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""By how much a logit may lie below the largest: kernels round differently. Reduced precisions: `_ROUGH`."""
_ROUGH = 0.5
_PAGE = 256  # tokens; transformers' own default


class ContinuousEngine:
    """See `mixgrid.generation.engine.Engine`. Greedy answers in fp32 are those of `transformers`, up to rounding."""

    name = "continuous"

    def __init__(self, model: Any, tokenizer: Any, *, batch_size: int, add_special_tokens: bool = True) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._batch_size, self._add_special_tokens = batch_size, add_special_tokens
        self._batched = BatchedEngine(model, tokenizer, batch_size=batch_size, add_special_tokens=add_special_tokens)

    def answers(
        self, prompts: Sequence[Prompt], *, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> Iterator[tuple[int, Answer]]:
        """The number of a prompt and its answer, each as soon as it is there."""
        open_ones = dict(enumerate(prompts))
        greedy = [i for i, prompt in open_ones.items() if prompt.temperature == 0]
        try:
            for i, answer in self._continuous(prompts, greedy, max_new_tokens=max_new_tokens, stop=stop):
                del open_ones[i]
                yield i, answer
            reason = f"{len(missing)} answers are missing" if (missing := set(greedy) & open_ones.keys()) else None
        except (ValueError, RuntimeError, NotImplementedError) as error:
            reason = f"{type(error).__name__}: {error}"
        if reason is not None:
            warnings.warn(f"continuous batching: {reason}; engine transformers goes on", RuntimeWarning, stacklevel=2)
        numbers, rest = list(open_ones), list(open_ones.values())
        for i, answer in self._batched.answers(rest, max_new_tokens=max_new_tokens, stop=stop):
            yield numbers[i], answer

    def _continuous(
        self, prompts: Sequence[Prompt], chosen: Sequence[int], *, max_new_tokens: int, stop: Sequence[str]
    ) -> Iterator[tuple[int, Answer]]:
        """Answers that have passed. Raises RuntimeError when the trial fails."""
        if not chosen:
            return
        ids = encode(self._tokenizer, [prompts[i] for i in chosen], add_special_tokens=self._add_special_tokens)
        ending = Ending(self._tokenizer, max_new_tokens=max_new_tokens, stop=stop)
        own = self._model.config._attn_implementation
        longest = max(map(len, ids)) + max_new_tokens
        with _attention(self._model, own), self._manager(longest=longest) as manager:
            trial, limit = ids[:TRIAL_PROMPTS], min(TRIAL_TOKENS, max_new_tokens)
            tried = dict(_run(manager, trial, max_new_tokens=limit))
            if len(tried) < len(trial):
                raise RuntimeError(f"{len(trial) - len(tried)} of {len(trial)} prompts on trial have no answer")
            with _attention(self._model, own):  # nothing runs in the manager's thread now
                for place, new in tried.items():
                    check_greedy(self._model, trial[place], new, end=self._tokenizer.eos_token_id, limit=limit)
            for place, new in _run(manager, ids, max_new_tokens=max_new_tokens):
                yield chosen[place], ending.answer(new)

    def _manager(self, *, longest: int) -> Any:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        pages = self._batch_size * -(-longest // _PAGE)
        on_cpu = {"page_size": _PAGE, "num_blocks": pages, "max_batch_tokens": 256}  # CUDA's come from free memory
        return self._model.continuous_batching_context_manager(
            generation_config=GenerationConfig(
                do_sample=False, eos_token_id=self._tokenizer.eos_token_id, pad_token_id=self._tokenizer.eos_token_id
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                max_requests_per_batch=self._batch_size, **(on_cpu if self._model.device.type == "cpu" else {})
            ),
            timeout=30,
        )


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    """The model with an implementation of attention, and afterwards with the one that it had before."""
    before = model.config._attn_implementation
    try:
        _set_attention(model, name)
        yield
    finally:
        _set_attention(model, before)


def _set_attention(model: Any, name: str) -> None:
    if model.config._attn_implementation != name:
        model.set_attn_implementation(name)


def _run(manager: Any, prompts: Sequence[list[int]], *, max_new_tokens: int) -> Iterator[tuple[int, list[int]]]:
    """The place of a prompt and its new tokens, each as it comes; those that fail do not come."""
    places = {request: i for i, request in enumerate(manager.add_requests(prompts, max_new_tokens=max_new_tokens))}
    while places and (manager.is_running() or not manager.output_router.output_queue.empty()):
        result = manager.get_result(timeout=1)
        if result is not None and result.is_finished():
            place = places.pop(result.request_id)
            if result.error is None:
                yield place, list(result.generated_tokens)


@torch.inference_mode()
def check_greedy(model: Any, prompt: Sequence[int], new: Sequence[int], *, end: int, limit: int) -> None:
    """Raise RuntimeError unless each new token is the likeliest in a plain forward pass and the answer ends rightly."""
    if end in new[:-1] or len(new) > limit or (len(new) < limit and new[-1:] != [end]):
        raise RuntimeError(f"an answer of {len(new)} tokens neither ends at the end token nor at the limit of {limit}")
    tokens_1T = torch.tensor([[*prompt, *new[:-1]]], device=model.device)
    logits_NV = model(input_ids=tokens_1T, use_cache=False).logits[0, len(prompt) - 1 :].float()
    chosen_N1 = torch.tensor(new, device=model.device)[:, None]
    behind = float((logits_NV.amax(-1, keepdim=True) - logits_NV.gather(-1, chosen_N1)).max())
    tolerance = TOLERANCE.get(model.dtype, _ROUGH)
    if not behind <= tolerance:
        raise RuntimeError(f"a token on trial lies {behind:.2g} behind the likeliest, over the tolerance {tolerance:g}")
