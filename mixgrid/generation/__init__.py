"""Answers to prompts: one interface, three engines.

generate(model, tokenizer, ["USER: 1 + 1? ASSISTANT:"], max_new_tokens=64, batch_size=128)
-> [Answer(text=" #### 2", finish_reason="stop", tokens=5)]

transformers   a running batch that finished rows leave and waiting prompts join; any device
continuous     transformers' continuous batching over pages of keys and values; CUDA
server         an OpenAI-compatible or vLLM server
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.errors import InputError
from mixgrid.generation.engine import Answer, Engine, Prompt, Server
from mixgrid.progress import Progress, silent

__all__ = ["ENGINES", "Answer", "Engine", "Prompt", "Server", "generate", "make_engine"]

ENGINES = ("transformers", "continuous", "server")


def make_engine(
    name: str,
    *,
    tokenizer: Any,
    batch_size: int,
    model: Any = None,
    server: Server | None = None,
    add_special_tokens: bool = True,
) -> Engine:
    """An engine by name. `server` needs a Server and no model, the others a model; a server's requests at once are
    `batch_size`. Raises InputError for another name."""
    from mixgrid.generation import batched, continuous
    from mixgrid.generation.server import ServerEngine

    options: dict[str, Any] = {"batch_size": batch_size, "add_special_tokens": add_special_tokens}
    if name == "server" and server is not None:
        return ServerEngine(server, tokenizer, **options)
    if name in ("transformers", "continuous") and model is not None:
        kind = batched.BatchedEngine if name == "transformers" else continuous.ContinuousEngine
        return kind(model, tokenizer, **options)
    if name in ENGINES:
        raise InputError(f"engine {name}: {'no server was' if name == 'server' else 'no model was'} given; give one")
    raise InputError(f"engine {name!r} is unknown; choose one of {', '.join(ENGINES)}")


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
    server: Server | None = None,
    progress: Progress = silent,
) -> list[Answer]:
    """Answers in the prompts' order; a text is a prompt at temperature 0."""
    asked = [Prompt(prompt) if isinstance(prompt, str) else prompt for prompt in prompts]
    chosen = make_engine(
        engine, model=model, tokenizer=tokenizer, batch_size=batch_size, server=server,
        add_special_tokens=add_special_tokens,
    )  # fmt: skip
    answers: dict[int, Answer] = {}
    for index, answer in chosen.answers(asked, max_new_tokens=max_new_tokens, stop=stop):
        answers[index] = answer
        progress(len(answers) / len(asked), f"{len(answers)}/{len(asked)} answers")
    return [answers[i] for i in range(len(asked))]
