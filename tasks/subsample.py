"""Prefect task `subsample`: a proportion of one source."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="subsample", **OPTIONS)
def subsample(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` is the download."""
    return look_up_or_make(step, run)
