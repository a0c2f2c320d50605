"""Prefect task `mix`: sources with proportions, as one list of examples."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="mix", **OPTIONS)
def mix(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` are the subsamples."""
    return look_up_or_make(step, run)
