"""Two cells item by item: how far apart they are on the same items, and which items differ.

    compare_scores(a, b, ability="math", benchmark="lab.math")
        -> Comparison(n=150, first=0.84, second=0.62, difference=0.22, low=0.13, high=0.3, p=1.3e-06,
                      both=88, only_first=38, only_second=5, neither=19, items=[Item(item=3, first=True, ...), ...])

For a response loss the difference is that of the two ratios, nats over tokens, with examples as the unit; a loss has no
right and wrong, so that McNemar's counts are None. What an item's prompt and answers say is hostile text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixgrid.artifact import Artifact
from mixgrid.benchmarks import load_benchmarks
from mixgrid.statistics import PairedDifference, paired_difference

if TYPE_CHECKING:
    import pandas as pd

    from mixgrid.plan import Plan
    from mixgrid.step import Step


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item that differs: what each was given for it, the prompt and both answers where there are any."""

    item: int
    first: float
    second: float
    prompt: str
    first_answer: str
    second_answer: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """First minus second on the items that both answered."""

    ability: str
    benchmark: str
    n: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    both: int | None
    only_first: int | None
    only_second: int | None
    neither: int | None
    items: Sequence[Item]


def scores_of(plan: "Plan", checkpoint: "Step") -> Iterator[tuple[str, str, "Step"]]:
    """(ability, benchmark, score step) of a checkpoint."""
    for names, step in zip(plan.names.scores, plan.scores, strict=True):
        answers = step.inputs["answers"]
        if getattr(answers, "input_keys", {}).get("checkpoint") == checkpoint.key:
            yield names.ability, names.benchmark, step


def compare_scores(first: Artifact, second: Artifact, *, ability: str, benchmark: str) -> Comparison | str:
    """The comparison of two scores of one benchmark; or why there is none."""
    import pandas as pd

    if first.record.inputs["data"] != second.record.inputs["data"]:
        return "their items are not the same: the benchmark's data differ"
    tables = [pd.read_parquet(score.path("items.parquet")) for score in (first, second)]
    merged = tables[0].merge(tables[1], on="item", suffixes=("", "_second"))
    if len(merged) < 2:
        return f"they share {len(merged)} item(s)"
    if "nats" in merged:
        return _losses(merged, ability, benchmark)
    headline = load_benchmarks()[benchmark].headline
    merged = merged.dropna(subset=[headline, f"{headline}_second"])
    one, other = merged[headline].astype(float), merged[f"{headline}_second"].astype(float)
    found = paired_difference(one.tolist(), other.tolist())
    counts: list[int | None] = [None] * 4
    if merged[headline].dtype == bool:
        right, left = merged[headline], merged[f"{headline}_second"].astype(bool)
        counts = [int(n.sum()) for n in (right & left, right & ~left, ~right & left, ~right & ~left)]
    return _comparison(
        ability, benchmark, (float(one.mean()), float(other.mean())), found, counts, _items(merged, one, other)
    )


def _losses(merged: "pd.DataFrame", ability: str, benchmark: str) -> Comparison:
    """Each ratio's linearised share of an example, paired (Cochran 1977, section 6.4)."""
    ratios, shares = [], []
    for end in ("", "_second"):
        nats, tokens = merged[f"nats{end}"], merged[f"tokens{end}"]
        ratios.append(float(nats.sum() / tokens.sum()))
        shares.append((nats - ratios[-1] * tokens) / tokens.mean())
    around = paired_difference((shares[0] + ratios[0]).tolist(), (shares[1] + ratios[1]).tolist())
    each = [merged[f"nats{end}"] / merged[f"tokens{end}"] for end in ("", "_second")]
    return _comparison(ability, benchmark, (ratios[0], ratios[1]), around, [None] * 4, _items(merged, *each))


def _comparison(
    ability: str, benchmark: str, scores: tuple[float, float], found: PairedDifference, counts: Sequence[int | None],
    items: Sequence[Item],
) -> Comparison:  # fmt: skip
    return Comparison(
        ability=ability, benchmark=benchmark, n=len(items), first=scores[0], second=scores[1],
        difference=found.difference, low=found.interval.low, high=found.interval.high, p=found.p,
        both=counts[0], only_first=counts[1], only_second=counts[2], neither=counts[3],
        items=[item for item in items if item.first != item.second],
    )  # fmt: skip


def _items(merged: "pd.DataFrame", first: "pd.Series[float]", second: "pd.Series[float]") -> list[Item]:
    rows: list[Mapping[str, Any]] = merged.to_dict("records")  # type: ignore[assignment]
    return [
        Item(
            item=int(row["item"]), first=float(one), second=float(other), prompt=str(row.get("prompt", "")),
            first_answer=str(row.get("answer", "")), second_answer=str(row.get("answer_second", "")),
        )
        for row, one, other in zip(rows, first, second, strict=True)
    ]  # fmt: skip
