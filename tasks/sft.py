"""Prefect task `sft`: one stage of supervised fine-tuning, whichever stage it is."""

from typing import Any

from prefect import task

from mixgrid.step import Step
from tasks.mechanism import OPTIONS, Run, look_up_or_make


@task(name="sft", **OPTIONS)
def sft(title: str, step: Step, run: Run, inputs: list[Any]) -> Any:
    """`inputs` are the parent checkpoint, the mixture and its tokenised sources."""
    return look_up_or_make(step, run)
