"""How well a study's laws foretell cells: each left out once, and the finer half of the grid from the coarser.

    mixgrid results lab_law --format json > rows.json
    python tests/bench/law.py rows.json --rows 512          # training rows of every source

prints a line a measure: cells, the share inside the 95 % interval, mean absolute errors of the law and the baselines.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from mixgrid.law import fit_study
from mixgrid.law.observations import Observations
from mixgrid.law.validation import Validation, validate, validate_on

COLUMNS = ("law", "law without departures", "nearest", "interpolation", "mean")


def finer_half(seen: Observations) -> np.ndarray:
    """The cells with an amount that is not full / 4^i of any source: 1/2, 1/8, ... of a grid in steps of two."""
    full = seen.amounts.max()
    steps = np.log(full / np.where(seen.amounts > 0, seen.amounts, full)) / np.log(2)
    return (np.round(steps) % 2 == 1).any(axis=1)


def line(name: str, checked: Validation) -> str:
    errors = "".join(f"{checked.errors[column]:>10.4f}" for column in COLUMNS)
    return f"{name:<38}{checked.cells:>6}{checked.inside:>8.1%}{errors}  {'below all' if checked.beats_all else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", dest="size", type=int, required=True)
    options = parser.parse_args()
    rows = json.loads(options.file.read_text())["rows"]
    laws = fit_study(rows, sizes=dict.fromkeys(dict.fromkeys(row["ability"] for row in rows), options.size))
    head = f"{'':<38}{'cells':>6}{'inside':>8}" + "".join(f"{column.split()[-1][:9]:>10}" for column in COLUMNS)
    for title, check in (("each cell left out once", None), ("the finer half from the coarser", finer_half)):
        print(f"{title}\n{head}")
        for (model, m), forecast in laws.forecasts.items():
            seen = forecast.observations
            checked = validate(forecast) if check is None else validate_on(seen, check(seen))
            print(line(f"{model} {m.ability}: {m.benchmark}", checked))


if __name__ == "__main__":
    main()
