"""A real Prefect server for the session, and a study small enough to run many times."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TINY = """
name: tiny
question: Does the pipeline run?
abilities:
  math:    {source: {name: lab.math, rows: 48, held_out: 12}, benchmarks: [lab.math, response_loss]}
  general: {source: {name: lab.general, rows: 48, held_out: 12}, benchmarks: [lab.general]}
specialised: [math]
models:
  - name: nano
    scratch: {hidden_size: 32, intermediate_size: 64, layers: 1, heads: 2, vocabulary_size: 320}
    template: plain
proportions: [1, 1/4]
experiments: [rq4, dmt]
recipe: {epochs: 1, batch_size: 8, peak_learning_rate: 2.0e-3, warmup_ratio: 0.1, schedule: cosine}
"""


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Prefect's database in a folder of its own, for this process and its children."""
    home = tmp_path_factory.mktemp("prefect")
    before = os.environ.get("PREFECT_HOME")
    os.environ["PREFECT_HOME"] = str(home)
    yield home
    os.environ.pop("PREFECT_HOME") if before is None else os.environ.update(PREFECT_HOME=before)


@pytest.fixture(scope="session")
def server(prefect_home: Path) -> Iterator[str]:  # noqa: ARG001 (the server's database lies there)
    """The URL of a running Prefect API, the one a user's `mixgrid run` starts."""
    from flows.prefect_api import prefect_api

    with prefect_api(ui=True) as api:
        yield api.url


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """The study as YAML."""
    return TINY


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The study file."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


Mixgrid = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def mixgrid() -> Mixgrid:
    """The command line as a user runs it, in a process of its own."""

    def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flows.command_line", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=200, env={**os.environ, **environment}, check=False
        )

    return run
