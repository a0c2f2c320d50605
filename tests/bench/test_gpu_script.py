"""The GPU benchmarks' toys on a CPU, run as a user would: a copy of the file, in a process of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT, GENERATION, ENGINE = (Path(__file__).with_name(f"gpu{part}.py") for part in ("", "_generation", "_engine"))


def run_toy(folder: Path, *arguments: str, script: Path = SCRIPT) -> tuple[str, dict[str, Any]]:
    """What a run prints, and its document."""
    copied, figures = shutil.copy(script, folder), folder / "figures.json"
    command = [sys.executable, str(copied), "--toy", "--json", str(figures), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout, json.loads(figures.read_text())


def test_gpu_script_toy_has_equal_losses_and_tokens_in_both_ways(tmp_path: Path) -> None:
    printed, document = run_toy(tmp_path, "--steps", "3", "--warmup", "1", "--batch-size", "32", "--row-tokens", "2048")
    flattened, padded = document["results"]
    assert [flattened["way"], padded["way"]] == ["flattened", "padded"]
    assert len(flattened["losses"]) == 4
    assert flattened["losses"] == pytest.approx(padded["losses"], rel=1e-5)
    assert flattened["tokens"] == flattened["computed_tokens"] == padded["tokens"] < padded["computed_tokens"]
    assert document["problems"] == []
    assert "checks passed" in printed


def test_gpu_script_with_a_file_of_lengths_counts_its_tokens_by_hand(tmp_path: Path) -> None:
    (tmp_path / "lengths.txt").write_text("10 4\n20 5\n30 6\n")
    arguments = ("--lengths", "lengths.txt", "--batch-size", "3", "--steps", "2", "--warmup", "0", "--micro-batch", "3")
    _, document = run_toy(tmp_path, *arguments)
    counted = [(r["tokens"], r["response_tokens"], r["computed_tokens"]) for r in document["results"]]
    assert counted == [(120, 30, 120), (120, 30, 180)]  # two steps of 10 + 20 + 30; padded, of 3 x 30


def test_gpu_generation_toy_has_equal_answers_and_tokens_in_both_ways(tmp_path: Path) -> None:
    arguments = ("--prompts", "16", "--batch-size", "8", "--limit", "40")
    printed, document = run_toy(tmp_path, *arguments, script=GENERATION)
    continuous, padded = document["results"]
    assert [continuous["way"], padded["way"]] == ["continuous", "padded"]
    assert continuous["tokens"] == padded["tokens"] > 16
    assert document["problems"] == []
    assert "checks passed" in printed


def test_gpu_engine_toy_has_the_cpus_curves_in_every_way() -> None:
    run = subprocess.run(
        [sys.executable, str(ENGINE), "--toy"], capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("ok  ") == len(run.stdout.splitlines()) == 11
