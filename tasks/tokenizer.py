"""Prefect task `tokenizer`: a model's tokenizer, fetched or trained."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="tokenizer", **OPTIONS)
def tokenizer(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` are the downloads a trained tokenizer learns from."""
    return look_up_or_make(step, run)
