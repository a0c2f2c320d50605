"""The report's section on the law: how well it foretells cells not seen, crossing points, DMT's front, what next.

render_law(law, recommendation)  ->  "<section><h2>Law and recommendation</h2>..."
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mixgrid.law.words import FRONT_COLUMNS, LAW_COLUMNS, front_rows, law_rows, recommendation_lines
from mixgrid.report.text import escape

READING = (
    "A saturating power law is fitted to each ability's scores, against the amount of its own data and of the others'."
    " The own exponent says how steeply: of a loss, what is above the floor goes with that power; of a score, the odds"
    " of its ceiling do. Each cell was left out once and foretold from all others: the columns give the mean error of"
    " that, beside three ways of guessing without a law, and the share of cells inside the 95 % interval that was made"
    " without them. The last column says where mixing all sources and the single source change places, in examples of"
    " the ability's own source."
)
FRONT = (
    "What DMT trades: the mean of each side's abilities, from 0 to 1, as the law expects it, with 95 % intervals."
    " k = 0 is mixed sequential training. A point is on the front if no other is at least as good on both sides."
)


def render_law(law: Mapping[str, Any], recommendation: Mapping[str, Any]) -> str:
    """The section; where there are too few cells, it says so."""
    parts = ["<h2>Law and recommendation</h2>"]
    if law["laws"]:
        parts += [f"<p>{READING}</p>", _table("Laws", LAW_COLUMNS, law_rows(law))]
    if rows := front_rows(law):
        parts += ["<h3>The trade-off of DMT</h3>", f"<p>{FRONT}</p>", _table("Trade-off of DMT", FRONT_COLUMNS, rows)]
    reasons = dict.fromkeys([*law["notes"], *(f"{r['model']}: {r['reason']}" for r in law["refused"])])
    notes = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    parts.append(f'<ul class="notes">{notes}</ul>' if notes else "")
    lines = "\n".join(recommendation_lines(recommendation))
    parts += ["<h3>What to use, and what to run next</h3>", f'<pre class="recommendation">{escape(lines)}</pre>']
    return f"<section>{''.join(parts)}</section>"


def _table(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">{table}</div>'
