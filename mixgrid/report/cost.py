"""The report's section on cost: what was estimated before any training, and what the trainings took.

lab.small   94 of 94 trainings   tokens 9.1M, estimated 9.0M   device-hours 0.08, estimated 0.06   ...
"""

from collections.abc import Mapping
from typing import Any

from mixgrid.report.text import escape

COLUMNS = ("model", "trainings done", "tokens", "estimated", "device-hours", "estimated", "money", "estimated")


def render_cost(cost: Mapping[str, Any]) -> str:
    """One row a model, actual beside estimate; assumptions below."""
    estimate, actual = cost["estimate"], cost["actual"]
    rows = []
    for model, figures in estimate["models"].items():
        took, expected = actual[model], figures["unique"]
        cells = [model, f"{took['trainings']:,} of {took['of']:,}"]
        for name, form in (("tokens", ",.0f"), ("device_hours", ".3g"), ("money", ".2f")):
            cells += [format(took[name], form), "unknown" if expected[name] is None else format(expected[name], form)]
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    rest = actual["rest"]
    cells = ["all other steps", f"{rest['steps']:,} steps", "", "", f"{rest['device_hours']:.3g}", ""]
    rows.append("".join(f"<td>{escape(cell)}</td>" for cell in [*cells, f"{rest['money']:.2f}", ""]))
    head = "".join(f'<th scope="col">{column}</th>' for column in COLUMNS)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    assumed = "".join(f"<li>{escape(text)}</li>" for text in estimate["assumed"])
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    words = (
        f"What training took on {escape(estimate['device'])}, and what would have been estimated before any of it, for"
        " all of the study’s different trainings."
    )
    return (
        f'<section><h2>Cost</h2><p>{words}</p><div class="scroll" role="region" tabindex="0" aria-label="Cost">{table}'
        f'</div><p>The estimate assumes:</p><ul class="notes">{assumed}</ul></section>'
    )
