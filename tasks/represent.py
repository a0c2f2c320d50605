"""Prefect task `represent`: a checkpoint's hidden states of queries from each source."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="represent", **OPTIONS)
def represent(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` are the checkpoint and the sources."""
    return look_up_or_make(step, run)
