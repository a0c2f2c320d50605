"""The wheel, in a clean environment: its `mixgrid` command runs a study from another folder."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
def test_wheel_in_a_clean_environment_runs_a_study_from_another_folder(tmp_path: Path, tiny_text: str) -> None:
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT], check=True, timeout=300)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    wheel = next(tmp_path.glob("*.whl"))
    install = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run([str(part) for part in install], check=True, timeout=600)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tiny.yaml").write_text(tiny_text)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "PYTHON"))}
    environment["PREFECT_HOME"] = str(tmp_path / "prefect")
    command = [tmp_path / "env" / "bin" / "mixgrid", "run", "tiny.yaml"]
    done = subprocess.run(
        [str(part) for part in command], cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((elsewhere / "runs" / "aggregate").glob("tiny-*/attempt-*/report.html"))
