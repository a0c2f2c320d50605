"""The Prefect task of each step kind.

TASKS["sft"].submit(title="sft stage 1 ...", step=quote(step), run=quote(run), inputs=futures)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import Task, tags

from tasks.aggregate import aggregate
from tasks.base import base
from tasks.download import download
from tasks.evaluate import answer, score
from tasks.mix import mix
from tasks.represent import represent
from tasks.sft import sft
from tasks.subsample import subsample
from tasks.tokenize import tokenize
from tasks.tokenizer import tokenizer

TASKS: dict[str, Task[..., Any]] = {
    task.name: task
    for task in (download, tokenizer, tokenize, subsample, mix, base, sft, represent, answer, score, aggregate)
}

GPU_KINDS = ("base", "sft", "represent", "answer")
"""The kinds that need an accelerator where there is one."""


@contextmanager
def kind_tags(kind: str) -> Iterator[None]:
    """Tag the runs submitted inside: the kind, and `gpu` or `cpu`.

    Prefect asks its API about limits once a tagged run, about 10 ms: a step that is only looked up goes without.
    """
    with tags(kind, "gpu" if kind in GPU_KINDS else "cpu"):
        yield
