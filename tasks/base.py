"""Prefect task `base`: a model's base checkpoint."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="base", **OPTIONS)
def base(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` is the tokenizer."""
    return look_up_or_make(step, run)
