"""score: every verdict on kept answers, and the score with n and interval.

    verdicts.parquet   item, then one boolean column a verdict the grader gives ("strict", "flexible", ...)
    ledger             {"score": 0.42, "n": 200, "low": 0.35, "high": 0.49, "rates": {"strict": 0.42, ...}}

Needs no model: a changed grader grades the kept answers again and no GPU is asked.
"""

from typing import Any

from mixgrid.benchmarks import Benchmark, load_benchmarks
from mixgrid.identity import Settings
from mixgrid.statistics import ratio_interval, wilson_interval
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 1


class ScoreSettings(Settings):
    """The benchmark's grader and its version."""

    benchmark: str
    grader_version: int = 1


def score(settings: ScoreSettings, *, answers: Step, data: Step) -> Step:
    """The step for one checkpoint's answers; `data` holds the references."""
    return Step(
        kind="score", version=VERSION, settings=settings, inputs={"answers": answers, "data": data},
        label=answers.label, title=f"score {answers.label}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Grade each answer, or sum up losses."""
    benchmark: Benchmark = load_benchmarks()[work.settings.benchmark]
    if benchmark.grade is None:
        return _loss(work)

    import pandas as pd

    from mixgrid.benchmarks.items import read_items

    items = read_items(work.one("data"))
    answers = pd.read_parquet(work.one("answers").path("answers.parquet"))
    verdicts = [
        dict(benchmark.grade(text, items[item].response))
        for item, text in zip(answers["item"], answers["answer"], strict=True)
    ]
    table = pd.DataFrame(verdicts).assign(truncated=answers["finish_reason"] == "length")
    table.insert(0, "item", answers["item"])
    table.to_parquet(work.folder / "verdicts.parquet", index=False)
    right, n = int(table[benchmark.headline].sum()), len(table)
    interval = wilson_interval(right, n)
    rates = {name: float(table[name].mean()) for name in table.columns[1:]}
    return {"score": right / n, "n": n, "low": interval.low, "high": interval.high, "rates": rates}


def _loss(work: Work) -> dict[str, Any]:
    import pandas as pd

    losses = pd.read_parquet(work.one("answers").path("losses.parquet"))
    losses = losses[losses["tokens"] > 0]
    losses.to_parquet(work.folder / "verdicts.parquet", index=False)
    value, interval = ratio_interval(losses["nats"].tolist(), losses["tokens"].tolist())
    return {"score": value, "n": len(losses), "low": interval.low, "high": interval.high}


KIND = Kind(name="score", version=VERSION, settings=ScoreSettings, make=make)
