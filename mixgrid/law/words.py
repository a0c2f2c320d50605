"""The law and the recommendation in words and table rows: what the page and `mixgrid recommend` say.

law_rows(document)             -> [["lab.small", "math: lab.math", "71", "2.36 ± 0.21", "0.024", "0.053", ...]]
recommendation_lines(...)      -> "lab.small: use dmt: code + math → general + code + math ..."
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LAW_COLUMNS = (
    "model", "measure", "cells", "own exponent", "law", "nearest", "interpolation", "mean of all", "in 95 %",
    "mixed against single",
)  # fmt: skip
FRONT_COLUMNS = ("model", "k in stage 2", "specialised", "95 %", "general", "95 %", "on the front")


def law_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """A law a row: its exponent with the standard error, the errors of cells left out, and the crossing point."""
    rows = []
    for law in document["laws"]:
        errors, inside = law["left_out"]["mean_error"], law["left_out"]["inside"]
        figures = [f"{errors[name]:.3f}" for name in ("law", "nearest", "interpolation", "mean")]
        own = law["parameters"][f"exponent of {law['ability']}"]
        head = [law["model"], f"{law['ability']}: {law['benchmark']}", str(law["cells"])]
        head.append(f"{own['value']:.2f} ± {own['error']:.2f}")
        rows.append([*head, *figures, f"{100 * inside:.0f} %", crossing_text(law["crossing"])])
    return rows


def crossing_text(crossing: Mapping[str, Any]) -> str:
    """`mixed is better below 61 examples (20–240)`, or what is known instead."""
    if crossing["chance"] is None:
        return str(crossing["reason"])
    if crossing["chance"] < 0.5:
        better = crossing["mixed_better_at_most_data"]
        side = "mixed" if better > 0.5 else "single source"
        return f"no crossing; {side} more likely better with most data ({100 * max(better, 1 - better):.0f} %)"
    side = {"mixed": "mixed", "single": "single source"}[crossing["better_below"]]
    wide = crossing["high"] > 20 * crossing["low"]
    where = f"{crossing['examples']:.0f} examples ({crossing['low']:.0f}–{crossing['high']:.0f})"
    return f"{side} better below {where}" + ("; hardly known" if wide else "")


def front_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """DMT at each k: what both sides are worth, from 0 to 1."""
    return [
        [model, point["k"], *_use(point["specialised"]), *_use(point["general"]), "yes" if point["on_front"] else ""]
        for model, points in document["fronts"].items()
        for point in points
    ]


def recommendation_lines(recommendation: Mapping[str, Any]) -> Iterator[str]:
    """A few lines a model: what to use, what is as good, what to run next."""
    weights = ", ".join(f"{ability} {weight:g}" for ability, weight in recommendation["weights"].items())
    budget = recommendation["budget"]
    limit = f"; at most {budget['amount']:,.0f} {budget['unit']} an epoch" if budget else ""
    yield f"weights: {weights}{limit}"
    for model in recommendation["models"]:
        if model["best"] is None:
            yield f"{model['model']}: no recommendation: {model['reason']}"
            continue
        yield f"{model['model']}: use {candidate_text(model['best'])}"
        yield f"  expected: {expected_text(model)}"
        yield from _listed("within noise of it", model["close"], "chance_better", "better with chance {:.0%}")
        yield from _listed("most worth running next", model["next"], "gain", "worth {:.4f}")


def _listed(title: str, entries: Sequence[Mapping[str, Any]], field: str, form: str) -> Iterator[str]:
    yield f"  {title}:" + ("" if entries else " nothing")
    for entry in entries:
        yield f"    {candidate_text(entry)}; {form.format(entry[field])}"


def candidate_text(entry: Mapping[str, Any]) -> str:
    """`dmt, k = 1/2: ... (value 0.85, 0.80–0.90; not run)`."""
    value = entry["value"]
    run = (
        f"run with {entry['seeds_run']} seed{'s' if entry['seeds_run'] > 1 else ''}"
        if entry["seeds_run"]
        else "not run"
    )
    return f"{entry['label']} (value {value['value']:.3f}, {value['low']:.3f}–{value['high']:.3f}; {run})"


def expected_text(model: Mapping[str, Any]) -> str:
    """`math (lab.math) 0.86, 0.69–0.97; code ...`."""
    parts = model["best"]["expected"].items()
    return "; ".join(
        f"{ability} ({model['measures'][ability]}) {e['score']:.3f}, {e['low']:.3f}–{e['high']:.3f}"
        for ability, e in parts
    )


def _use(side: Mapping[str, float]) -> tuple[str, str]:
    return f"{side['value']:.3f}", f"{side['low']:.3f}–{side['high']:.3f}"
