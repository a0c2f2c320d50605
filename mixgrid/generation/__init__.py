"""Answers to prompts: one interface, three engines.

generate(model, tokenizer, ["USER: 1 + 1? ASSISTANT:"], max_new_tokens=64, batch_size=128)
-> [Answer(text=" #### 2", finish_reason="stop", tokens=5)]

transformers   a running batch that finished rows leave and waiting prompts join; any device
continuous     transformers' continuous batching over pages of keys and values; CUDA
server         an OpenAI-compatible or vLLM server
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.generation.engine import Answer, Engine, Prompt
from mixgrid.progress import Progress, silent

__all__ = ["Answer", "Engine", "Prompt", "generate", "make_engine"]


def make_engine(name: str, *, model: Any, tokenizer: Any, batch_size: int, add_special_tokens: bool = True) -> Engine:
    """The engine of that name: `transformers`."""
    from mixgrid.generation.batched import BatchedEngine

    return BatchedEngine(model, tokenizer, batch_size=batch_size, add_special_tokens=add_special_tokens)


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str | Prompt],
    *,
    max_new_tokens: int,
    batch_size: int,
    add_special_tokens: bool = True,
    stop: Sequence[str] = (),
    engine: str = "transformers",
    progress: Progress = silent,
) -> list[Answer]:
    """Answers in the prompts' order; a text is a prompt at temperature 0."""
    asked = [Prompt(prompt) if isinstance(prompt, str) else prompt for prompt in prompts]
    chosen = make_engine(
        engine, model=model, tokenizer=tokenizer, batch_size=batch_size, add_special_tokens=add_special_tokens
    )
    answers: dict[int, Answer] = {}
    for index, answer in chosen.answers(asked, max_new_tokens=max_new_tokens, stop=stop):
        answers[index] = answer
        progress(len(answers) / len(asked), f"{len(answers)}/{len(asked)} answers")
    return [answers[i] for i in range(len(asked))]
