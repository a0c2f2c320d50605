"""Kill a run with -9 at given moments, run it to the end, compare with an undisturbed run.

    python tests/bench/kill_study.py demo --calm runs --moments 25 70 120

`--calm` is the store of an undisturbed run. Prints how many results and files are equal; status 1 unless all are.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    """Run, kill, run, compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("study")
    options.add_argument("--calm", type=Path, required=True)
    options.add_argument("--moments", type=float, nargs="+", default=[25, 70, 120], help="seconds after each start")
    given = options.parse_args()
    store = Path(tempfile.mkdtemp(prefix="mixgrid-killed-"))
    command = [sys.executable, "-m", "flows.command_line", "run", given.study, "--store", str(store)]
    for moment in given.moments:
        process = subprocess.Popen(command)
        time.sleep(moment)
        process.kill()
        process.wait()
        print(f"killed after {moment} s with {len(list(store.glob('*/*/record.json')))} artifacts", flush=True)
    started = time.monotonic()
    subprocess.run(command, check=True)
    print(f"the rest took {time.monotonic() - started:.0f} s")
    equal = _results(given.study, store) == _results(given.study, given.calm)
    killed, calm = _files(store), _files(given.calm)
    different = sorted(name for name in calm.keys() | killed.keys() if calm.get(name) != killed.get(name))
    print(
        f"results byte for byte equal: {equal}; files that differ: {len(different)} of {len(calm)}",
        *different,
        sep="\n",
    )
    if equal and not different:
        shutil.rmtree(store)
    return 0 if equal and not different else 1


def _results(study: str, store: Path) -> bytes:
    command = [sys.executable, "-m", "flows.command_line", "results", study, "--store", str(store), "--format", "json"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def _files(store: Path) -> dict[str, str]:
    """The SHA-256 of every file that a record names."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}/{name}": entry["sha256"]
        for path in store.glob("*/*/record.json")
        for name, entry in json.loads(path.read_text())["files"].items()
    }


if __name__ == "__main__":
    sys.exit(main())
