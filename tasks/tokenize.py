"""Prefect task `tokenize`: a source as token and mask arrays."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="tokenize", **OPTIONS)
def tokenize(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` are the download and the tokenizer."""
    return look_up_or_make(step, run)
