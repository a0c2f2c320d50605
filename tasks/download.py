"""Prefect task `download`: one pinned dataset becomes normalised conversations."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="download", **OPTIONS)
def download(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` is empty: a download needs no other step."""
    return look_up_or_make(step, run)
