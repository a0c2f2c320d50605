"""subsample: the first floor(k * n) rows of one permutation of a source.

    rows.npy    int64 row numbers, in the permutation's order
    ledger      {"rows": 250, "of": 1000}

One permutation, then prefixes: the 1/16 subset lies inside the 1/4 one, so curves compare like with like. It depends on
the subset seed alone, never on the training seed or on the other sources.
"""

from fractions import Fraction
from typing import Any

from mixgrid.errors import StepError
from mixgrid.identity import Proportion, Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 1


class SubsampleSettings(Settings):
    """The exact fraction that is kept, and the seed of the permutation."""

    proportion: Proportion
    seed: int = 0


def subsample(settings: SubsampleSettings, *, rows: Step) -> Step:
    """The step for one source and one proportion."""
    name = f"{rows.label} {settings.proportion}"
    return Step(
        kind="subsample", version=VERSION, settings=settings, inputs={"rows": rows},
        label=name.replace(" ", "_"), title=f"subsample {name}",
    )  # fmt: skip


def subset_size(proportion: Fraction, rows: int) -> int:
    """floor(k * n), exactly: 1/256 of 110,142 is 430."""
    return rows * proportion.numerator // proportion.denominator


def make(work: Work) -> dict[str, Any]:
    """Draw the permutation and keep its prefix."""
    import numpy as np

    total = int(work.one("rows").ledger["rows"])
    kept = subset_size(work.settings.proportion, total)
    if kept == 0:
        raise StepError(
            f"{work.settings.proportion} of {total} rows is less than one row; use a proportion of at least 1/{total}"
        )
    permutation = np.random.Generator(np.random.PCG64(work.settings.seed)).permutation(total)
    np.save(work.folder / "rows.npy", permutation[:kept].astype(np.int64))
    return {"rows": kept, "of": total}


KIND = Kind(name="subsample", version=VERSION, settings=SubsampleSettings, make=make)
