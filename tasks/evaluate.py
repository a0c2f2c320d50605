"""Prefect tasks `answer` and `score`, the two halves of "evaluate": only the first one needs a model."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="answer", **OPTIONS)
def answer(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` are the checkpoint and the benchmark's data."""
    return look_up_or_make(step, run)


@task(name="score", **OPTIONS)
def score(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` are the answers and the references."""
    return look_up_or_make(step, run)
