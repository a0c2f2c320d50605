"""The report in a real browser: headless Chromium draws it, and has nothing to complain about."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mixgrid.report import render_report

pytestmark = pytest.mark.server
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
]


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser; `make test` installs it where it may."""
    found = shutil.which("chromium")
    if not found and os.environ.get("CI"):
        pytest.fail("chromium is missing, and CI is set")
    if not found:
        pytest.skip("chromium is not installed")
    return found


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report of one row a strategy, with names that would like to be markup."""
    rows = [
        {
            "model": "nano", "seed": 0, "experiments": ["rq1"], "strategy": "single", "proportion": k,
            "proportions": [{"math": k}], "ability": "math", "benchmark": "lab.math", "score": score, "n": 100,
            "low": score - 0.05, "high": score + 0.05, "key": f"{i:064x}",
        }
        for i, (k, score) in enumerate([("1", 0.8125), ("1/4", 0.4375)])
    ]  # fmt: skip
    html = render_report(study="browser", question="<script>document.title = 'x'</script>?", rows=rows, complete=True)
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


def run(chromium: str, page: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [chromium, *QUIET, f"--user-data-dir={page.parent / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_report_in_a_browser_keeps_its_numbers_and_runs_no_markup_of_others(chromium: str, page: Path) -> None:
    done = run(chromium, page, "--dump-dom")
    assert "0.8125" in done.stdout
    assert "0.4375" in done.stdout
    assert "<title>x</title>" not in done.stdout
    assert "CONSOLE" not in done.stderr


@pytest.mark.parametrize("width", [390, 1280])
def test_report_in_a_browser_draws_something_at_phone_and_desktop_width(
    chromium: str, page: Path, width: int, tmp_path: Path
) -> None:
    picture = tmp_path / "page.png"
    run(chromium, page, f"--window-size={width},1400", f"--screenshot={picture}")
    assert len(picture.read_bytes()) > 20_000  # an empty page of this size has about 5 kB
