"""The pictures of docs/cluster.md, taken anew: the demo on a cluster in a box, as a person sees it in Prefect's UI.

    python tests/bench/pictures.py [FOLDER] [--only dmt] [--models lab.small] [--seeds 0]

Starts PostgreSQL, a server, a worker for grids and two for steps, fills in the form of `mixgrid/grid` in headless
Chromium, and looks at the run until it is over. The whole demo took 34 minutes on two busy cores. Needs chromium
and postgresql.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/box"))

from browser import Browser  # noqa: E402
from cluster_box import Box, wait_for  # noqa: E402
from grid_form import fill_form, submit  # noqa: E402
from postgres_server import Postgres  # noqa: E402

SETTLE_S = 6.0
"""How long the UI draws a graph once it has its data."""
FINAL = ("COMPLETED", "FAILED", "CRASHED")


def main() -> None:
    """Take all pictures, and say of each where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs/pictures")
    for name in ("only", "models", "seeds"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made,
        Postgres() as postgres,
        Box(Path(made), database=postgres.url) as box,
    ):
        box.start_worker("grids", pool="cpu")
        for name in ("gpu0", "gpu1"):
            box.start_worker(name)
        with Browser(Path(made), height=940) as browser:
            part = {name: getattr(options, name) for name in ("only", "models", "seeds")}
            fill_form(browser, box, {"study": "demo", **part, "answer": ""})
            browser.show("Run Name")
            _take(browser, options.folder, "form", said="Run Name")
            grid = submit(browser, box)
            _watch(browser, box, grid, options.folder)
            if box.state(grid) != "COMPLETED":
                sys.exit((box.folder / "grids.log").read_text()[-4000:])


def _watch(browser: Browser, box: Box, grid: str, folder: Path) -> None:
    """The run while it works and when it is over, a stage's progress, a step's own run, and the scores."""
    _progress(browser, box, folder)
    wait_for(lambda: box.artifacts("table"), "the first scores", 1200)
    browser.open(f"{box.ui}/runs/flow-run/{grid}")
    _take(browser, folder, "run", said="Finished in state")
    wait_for(lambda: box.state(grid) in FINAL, "the end of the run", 3600)
    browser.open(f"{box.ui}/artifacts/artifact/{box.artifacts('table')[0]['id']}")
    _take(browser, folder, "scores", said="response_loss")
    told = next(artifact for artifact in box.artifacts("markdown") if artifact["data"].startswith("**sft"))
    browser.open(f"{box.ui}/runs/flow-run/{told['flow_run_id']}")
    _take(browser, folder, "step", said="made in")


def _progress(browser: Browser, box: Box, folder: Path) -> None:
    artifact = wait_for(lambda: box.artifacts("progress"), "the progress of a step", 600)[0]
    wait_for(lambda: _share(box, artifact["id"]) > 30, "a third of the step", 600)
    browser.open(f"{box.ui}/artifacts/artifact/{artifact['id']}")
    _take(browser, folder, "progress", said="tokens/s")


def _share(box: Box, artifact: str) -> float:
    return max((float(a["data"]) for a in box.artifacts("progress") if a["id"] == artifact), default=0.0)


def _take(browser: Browser, folder: Path, name: str, *, said: str) -> None:
    """Once the page says so."""
    browser.wait_for(said)
    time.sleep(SETTLE_S)
    path = folder / f"cluster-{name}.png"
    browser.picture(path)
    print(path, path.stat().st_size // 1000, "kB", flush=True)


if __name__ == "__main__":
    main()
