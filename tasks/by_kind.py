"""The Prefect task of each step kind.

TASKS["sft"].submit(title="sft stage 1 ...", step=quote(step), run=quote(run), inputs=futures)
"""

from typing import Any

from prefect import Task

from tasks.aggregate import aggregate
from tasks.base import base
from tasks.download import download
from tasks.evaluate import answer, score
from tasks.mix import mix
from tasks.sft import sft
from tasks.subsample import subsample
from tasks.tokenize import tokenize
from tasks.tokenizer import tokenizer

TASKS: dict[str, Task[..., Any]] = {
    task.name: task for task in (download, tokenizer, tokenize, subsample, mix, base, sft, answer, score, aggregate)
}
