"""Prefect task `aggregate`: all scores of a study as a table and a page."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="aggregate", **OPTIONS)
def aggregate(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` are the scores and the sources."""
    return look_up_or_make(step, run)
