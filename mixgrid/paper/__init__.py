"""The paper's own tables (Dong et al., ACL 2024, arXiv 2310.05492), as rows like those of `mixgrid results`.

    table 1 (v4),llama-7b,dmt,dmt,code + math > general + code 1/256 + math 1/256,1/256,math,gsm8k,41.92,1319
        ->  {"model": "llama-7b", "strategy": "dmt", "proportions": [...], "score": .4192, "n": 1319, "low": .393, ...}

`python -m mixgrid.paper` weighs the paper's claims against its own numbers. Scores are as printed, in percent but for
MT-Bench. GSM8K and HumanEval get Wilson's intervals from their numbers of items, which the paper does not print;
nothing says how MT-Bench's 80 ratings spread, so it has none unless `mt_bench_sd` assumes one. There is one seed.
"""

import csv
import math
from collections.abc import Iterator
from fractions import Fraction
from importlib.resources import files
from typing import Any

from mixgrid.evidence import Evidence
from mixgrid.statistics import wilson_interval

MODELS = ("llama-7b", "llama-13b", "llama-33b")
SPECIALISED, GENERAL = ("code", "math"), ("general",)


def paper_evidence(*, mt_bench_sd: float | None = None) -> Evidence:
    """The paper's cells, to be weighed as a study's are."""
    return Evidence(paper_rows(mt_bench_sd=mt_bench_sd), specialised=SPECIALISED, general=GENERAL, models=MODELS)


def paper_rows(*, mt_bench_sd: float | None = None) -> list[dict[str, Any]]:
    """One row a score. A number that two tables print differently counts as in the newer one, table 1 of v4.

    `mt_bench_sd`: the standard deviation of a question's mean rating between questions, if one is to be assumed.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for printed in printed_scores():
        row = _row(printed, mt_bench_sd)
        kept = rows.setdefault((row["key"], row["benchmark"]), row)  # the file has table 1 first
        kept["experiments"] = sorted({*kept["experiments"], *row["experiments"]})
    return list(rows.values())


def printed_scores() -> Iterator[dict[str, str]]:
    """The lines of `results.csv`, table by table."""
    with files("mixgrid.paper").joinpath("results.csv").open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _row(printed: dict[str, str], mt_bench_sd: float | None) -> dict[str, Any]:
    score, n = float(printed["score"]), int(printed["n"])
    low = high = None
    if printed["benchmark"] != "mt_bench":
        score = round(score / 100, 6)
        interval = wilson_interval(round(score * n), n)
        low, high = min(score, interval.low), max(score, interval.high)  # printed numbers are rounded
    elif mt_bench_sd is not None:
        low, high = (score + side * 1.96 * mt_bench_sd / math.sqrt(n) for side in (-1, 1))
    return {
        "model": printed["model"], "seed": 0, "experiments": [printed["experiment"]],
        "strategy": printed["strategy"], "proportion": printed["k"],
        "proportions": [_stage(stage) for stage in printed["stages"].split(" > ")],
        "ability": printed["ability"], "benchmark": printed["benchmark"], "score": score, "n": n, "low": low,
        "high": high, "key": f"{printed['model']}: {printed['stages']}",
    }  # fmt: skip


def _stage(text: str) -> dict[str, str]:
    """`general + code 1/256` as {"general": "1", "code": "1/256"}."""
    stage = {}
    for part in text.split(" + "):
        name, _, share = part.rpartition(" ")
        known = bool(name) and share.replace("/", "").isdecimal()
        stage[name if known else part] = str(Fraction(share)) if known else "1"
    return stage
