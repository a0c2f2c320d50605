"""A study of few steps, each as long as a test wants it, and what is seen of it on a cluster in a box."""

import subprocess
from pathlib import Path
from typing import Any

from cluster_box import Box, leases, wait_for

STUDY = """
name: small
question: Does it arrive?
abilities:
  math:    {source: {name: lab.math, rows: 48, held_out: 12}, benchmarks: [response_loss]}
  general: {source: {name: lab.general, rows: 48, held_out: 12}, benchmarks: [response_loss]}
specialised: [math]
models:
  - name: nano
    scratch: {hidden_size: 32, intermediate_size: 64, layers: 1, heads: 2, vocabulary_size: 320}
    template: plain
proportions: [1]
experiments: [rq4, {name: dmt, proportions: [1/2]}]
recipe: {budget: {steps: STEPS}, batch_size: 8, peak_learning_rate: 2.0e-3, warmup_ratio: 0.1, schedule: cosine}
"""
RUNTIME = """
routes: {sft: gpu}
dispatch: {lease_s: 6, tries: 2}
training: {snapshot_every: {steps: 100}}
"""


def study(folder: Path, steps: int = 6) -> Path:
    (folder / "runtime.yaml").write_text(RUNTIME)
    path = folder / "small.yaml"
    path.write_text(STUDY.replace("STEPS", str(steps)))
    return path


def grid(box: Box, path: Path, *options: object, name: str = "grid") -> "subprocess.Popen[bytes]":
    return box.grid(path, path.parent / "store", "--runtime", path.parent / "runtime.yaml", *options, name=name)


def states(runs: list[dict[str, Any]]) -> list[str]:
    return [run["state_type"] for run in runs]


def holder(store: Path) -> tuple[str, dict[str, Any]]:
    """A step that is being trained, and who trains it."""

    def training() -> tuple[str, dict[str, Any]] | None:
        return next(((key, told) for key, told in leases(store).items() if told["text"].startswith("step ")), None)

    found: tuple[str, dict[str, Any]] = wait_for(training, "a step in training")
    return found
