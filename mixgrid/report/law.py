"""The report's section on the law: how well it foretells cells not seen, crossing points, DMT's front, what next.

render_recommendation(recommendation)  ->  "<section><h2>Recommendation</h2>..."
render_law(law)                        ->  "<section><h2>The law</h2>..."
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mixgrid.law.forecast import REFITTED
from mixgrid.law.words import FRONT_COLUMNS, LAW_COLUMNS, front_rows, law_rows, recommendation_lines
from mixgrid.report.text import escape

READING = (
    "A saturating power law is fitted to each ability's scores, against the amount of its own data and of the others'."
    " The own exponent says how steeply: of a loss, what is above the floor goes with that power; of a score, the odds"
    " of its ceiling do. Each cell was left out once and foretold from all others: the columns give the mean error of"
    " that, beside three ways of guessing without a law, and the share of cells inside the 95 % interval that was made"
    f" without them. Up to {REFITTED} cells are each left out by a fit of their own, more in closed form. The last"
    " column says where mixing all sources and the single source change places, in examples of its own source."
)
WEIGHTS = (
    "A way’s value is the weighted mean of what each ability is worth with it, from 0 to 1, with a 95 % interval;"
    " <code>mixgrid recommend</code> weighs abilities differently, or within a budget. Here:"
)
FRONT = (
    "What DMT trades: the mean of each side's abilities, from 0 to 1, as the law expects it, with 95 % intervals."
    " k = 0 is mixed sequential training. A point is on the front if no other is at least as good on both sides."
)


def render_recommendation(recommendation: Mapping[str, Any]) -> str:
    """What to use for equal weights, how sure that is, and what to run next: a block a model."""
    blocks = []
    for line in recommendation_lines(recommendation):
        if line.startswith("    "):
            blocks.append(f"<li>{escape(line.strip())}</li>")
        elif line.startswith("  "):
            blocks.append(f'<li class="lead">{escape(line.strip())}</li>')
        elif line.startswith("weights"):
            blocks.append(f"<p>{WEIGHTS} {escape(line)}.</p>")
        else:
            model, _, use = line.partition(": ")
            blocks.append(f'</ul><h3>{escape(model)}</h3><ul class="use"><li class="first">{escape(use)}</li>')
    body = "".join(blocks).replace("</ul>", "", 1) + ("</ul>" if len(blocks) > 1 else "")
    return f'<section class="recommendation"><h2>Recommendation</h2>{body}</section>'


def render_law(law: Mapping[str, Any]) -> str:
    """The section; where there are too few cells, it says so."""
    parts = ["<h2>The law</h2>"]
    if law["laws"]:
        parts += [f"<p>{READING}</p>", _table("Laws", LAW_COLUMNS, law_rows(law))]
    if rows := front_rows(law):
        parts += ["<h3>The trade-off of DMT</h3>", f"<p>{FRONT}</p>", _table("Trade-off of DMT", FRONT_COLUMNS, rows)]
    reasons = dict.fromkeys([*law["notes"], *(f"{r['model']}: {r['reason']}" for r in law["refused"])])
    notes = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    parts.append(f'<ul class="notes">{notes}</ul>' if notes else "")
    return f"<section>{''.join(parts)}</section>"


def _table(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">{table}</div>'
