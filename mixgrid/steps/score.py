"""score: every verdict on kept answers, and the score with n and interval.

    items.parquet   item, prompt, answer, tokens, finish_reason, then what the grader says ("strict", "extracted", ...)
    model_answer/, model_judgment/     FastChat's own files, of mt_bench
    ledger          {"score": 0.42, "n": 200, "low": 0.35, "high": 0.49, "rates": {"strict": 0.42, ...}}

Needs no model: a changed grader grades the kept answers again and no GPU is asked.
"""

from dataclasses import asdict
from typing import Any

from mixgrid.benchmarks import Answered, Benchmark, load_benchmarks, rate_of
from mixgrid.identity import Runtime, Settings
from mixgrid.judge.settings import JudgeRuntime, JudgeSettings
from mixgrid.statistics import ratio_interval
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 2


class ScoreSettings(Settings):
    """The benchmark's grader and its version."""

    benchmark: str
    grader_version: int = 1
    judge: JudgeSettings | None = None


class ScoreRuntime(Runtime):
    """How the judge is reached and where its files lie; whether programs may run without a sandbox."""

    unsafe_code: bool = False
    judge: JudgeRuntime | None = None
    prompts: str | None = None
    references: str | None = None


def score(settings: ScoreSettings, *, answers: Step, data: Step, runtime: ScoreRuntime) -> Step:
    """The step for one checkpoint's answers; `data` holds the references."""
    return Step(
        kind="score", version=VERSION, settings=settings, inputs={"answers": answers, "data": data},
        runtime=runtime, label=answers.label, title=f"score {answers.label}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Grade each answer, or sum up losses."""
    benchmark: Benchmark = load_benchmarks()[work.settings.benchmark]
    if benchmark.grade is None:
        return _loss(work)

    import pandas as pd

    from mixgrid.grading import Grading
    from mixgrid.grading.behaviour import behaviour, mean_behaviour
    from mixgrid.grading.items import read_items

    items = read_items(work.one("data"))
    turns = pd.read_parquet(work.one("answers").path("answers.parquet"))
    last = turns.groupby("item", sort=False).last().reset_index()
    texts = turns.groupby("item", sort=False)["answer"].agg(tuple)
    answered = [Answered(item=items[item], turns=texts[item]) for item in last["item"]]
    order, store = work.origin()
    grading = Grading(
        settings=work.settings, runtime=work.runtime, progress=work.progress, label=order.label, folder=work.folder,
        store=store.url,
    )  # fmt: skip
    said = benchmark.grade(answered, grading)
    verdicts = pd.DataFrame([dict(verdict) for verdict in said])
    kept = last[["item", "prompt", "answer", "tokens", "finish_reason"]]
    pd.concat([kept, verdicts], axis=1).to_parquet(work.folder / "items.parquet", index=False)
    rates = {name: float(column.mean()) for name, column in verdicts.items() if column.dtype == bool}
    rates["truncated"] = float((last["finish_reason"] == "length").mean())
    rows = zip(turns["answer"], turns["finish_reason"], turns["tokens"], strict=True)
    behaved = mean_behaviour([behaviour(text, finish_reason=reason, tokens=int(n)) for text, reason, n in rows])
    figure = grading.figure or rate_of(benchmark.headline, said)
    return asdict(figure) | {"rates": rates, "behaviour": behaved} | grading.facts


def _loss(work: Work) -> dict[str, Any]:
    import pandas as pd

    losses = pd.read_parquet(work.one("answers").path("losses.parquet"))
    losses = losses[losses["tokens"] > 0]
    losses.to_parquet(work.folder / "items.parquet", index=False)
    value, interval = ratio_interval(losses["nats"].tolist(), losses["tokens"].tolist())
    return {"score": value, "n": len(losses), "low": interval.low, "high": interval.high}


KIND = Kind(name="score", version=VERSION, settings=ScoreSettings, runtime=ScoreRuntime, make=make)
