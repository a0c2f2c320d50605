"""The report's section on cost: what was estimated before any training, and what the steps took.

lab.small   52 of 52 trainings   tokens 3,604,695, estimated 3,603,785   device-hours 0.0561, estimated 0.0478   ...
answer      564 steps                                                    device-hours 0.0312
"""

from collections.abc import Mapping
from typing import Any

from mixgrid.report.tables import scroll
from mixgrid.report.text import escape

COLUMNS = ("what", "done", "tokens", "estimated", "device-hours", "estimated", "US dollars", "estimated")
FIGURES = ("tokens", "device_hours", "money")


def render_cost(cost: Mapping[str, Any]) -> str:
    """One row a model, actual beside estimate, and one for each other kind of step; assumptions below."""
    estimate, actual = cost["estimate"], cost["actual"]
    rows = []
    for model, figures in estimate["models"].items():
        took, expected = actual[model], figures["unique"]
        cells = [model, f"{took['trainings']:,} of {took['of']:,} trainings"]
        for name in FIGURES:
            cells += [_number(took[name]), _number(expected[name])]
        rows.append(cells)
    for kind, took in actual["rest"]["kinds"].items():
        hours, money = _number(took["device_hours"]), _number(took["money"])
        rows.append([kind, f"{took['steps']:,} step{'' if took['steps'] == 1 else 's'}", "", "", hours, "", money, ""])
    numeric = ["", "", *[' class="num"'] * (len(COLUMNS) - 2)]
    head = "".join(f'<th scope="col"{kind}>{name}</th>' for name, kind in zip(COLUMNS, numeric, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{escape(cell)}</td>' for cell, kind in zip(row, numeric, strict=True))}</tr>"
        for row in rows
    )
    assumed = "".join(f"<li>{escape(text)}</li>" for text in estimate["assumed"])
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    device = "a CPU core" if estimate["device"] == "cpu" else estimate["device"]
    words = (
        f"What the study’s steps took from beginning to end, reckoned as {escape(device)} at"
        f" {estimate['price_an_hour']:g} US dollars an hour, and beside it what would have been estimated for all of"
        " its different trainings before any of them. A device-hour is an hour of one device; loading and saving are in"
        " it, and not in the estimate. Other steps are not estimated."
    )
    listed = f'<p>The estimate assumes:</p><ul class="notes">{assumed}</ul>'
    return f"<section><h2>Cost</h2><p>{words}</p>{scroll('Cost', table)}{listed}</section>"


def _number(value: float | None) -> str:
    """Three digits: a lab's hours and dollars are small, a cluster's are not."""
    if value is None:
        return "unknown"
    if 0 < value < 0.001:
        return "< 0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
