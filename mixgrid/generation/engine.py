"""What is asked, what is answered, and the one interface of the engines in between.

engine.answers([Prompt("USER: 1 + 1? ASSISTANT:")], max_new_tokens=64)
-> (0, Answer(text=" #### 2", finish_reason="stop", tokens=5))
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """One answer. `finish_reason` is "stop" at the end token or a stop string, which the text lacks, and "length" at
    the limit; `tokens` counts new tokens, those of the end among them."""

    text: str
    finish_reason: str
    tokens: int


@dataclass(frozen=True)
class Prompt:
    """A prompt and how it is to be answered: the likeliest token each time at temperature 0, else a draw.

    In fp32 a drawn answer depends on the prompt, the temperature and the seed, not on what else is in the batch.
    """

    text: str
    temperature: float = 0.0
    seed: int = 0


class Engine(Protocol):
    """A way to answer prompts with one model. `name` is "transformers", "continuous" or "server"."""

    @property
    def name(self) -> str:
        """What `make_engine` was asked for."""

    def answers(
        self, prompts: Sequence[Prompt], *, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> Iterator[tuple[int, Answer]]:
        """The number of a prompt and its answer, each as soon as it is there, in any order."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where an OpenAI-compatible server answers, such as http://127.0.0.1:8000/v1, and the model's name there.

    The key is read from the environment variable `key_variable` when a request is made, and kept nowhere.
    """

    url: str
    model: str
    key_variable: str = "MIXGRID_SERVER_KEY"
    timeout_s: float = 600.0
    attempts: int = 6
