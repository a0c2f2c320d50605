"""The report's section on the law: how well it foretells cells not seen, crossing points, DMT's front.

render_law(law)  ->  "<section><h2>The law</h2>..."
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mixgrid.law.forecast import REFITTED
from mixgrid.law.words import FRONT_COLUMNS, LAW_COLUMNS, front_rows, law_rows
from mixgrid.report.front import render_fronts
from mixgrid.report.tables import scroll
from mixgrid.report.text import escape

READING = (
    "A saturating power law is fitted to each ability’s scores, against the amount of its own data and of the others’."
    " The own exponent, with its standard error, says how steeply: of a loss, what is above the floor goes with that"
    " power; of a score, the odds of its ceiling do. Each cell was left out once and foretold from all others"
    f" (above {REFITTED} cells in closed form). The next four columns are the mean error of that, in the measure’s own"
    " units (.05 of a score is 5 points): by the law; by the nearest cell in log amounts; by interpolation between two"
    " cells; by the mean of all. Then comes the share of cells inside the 95 % interval that was made without them. The"
    " last column says where mixing all sources and the single source change places, in examples of its own source,"
    " with a 95 % interval: where fewer than half of the surfaces that fit the cells cross, there is no crossing, and"
    " where the interval spans a factor above 20 the place is hardly known."
)
FRONT = (
    "What DMT trades: the mean of each side's abilities, from 0 to 1, as the law expects it, with 95 % intervals."
    " k = 0 is mixed sequential training. A point is on the front (filled) if no other is at least as good on both"
    " sides."
)


def render_law(law: Mapping[str, Any]) -> str:
    """The section; where there are too few cells, it says so."""
    parts = ["<h2>The law</h2>"]
    if law["laws"]:
        parts += [f"<p>{READING}</p>", _table("Laws", LAW_COLUMNS, law_rows(law))]
    if rows := front_rows(law):
        parts += [
            "<h3>The trade-off of DMT</h3>",
            f"<p>{FRONT}</p>",
            render_fronts(law["fronts"]),
            _table("Trade-off of DMT", FRONT_COLUMNS, rows),
        ]
    reasons = dict.fromkeys([*law["notes"], *(f"{r['model']}: {r['reason']}" for r in law["refused"])])
    notes = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    parts.append(f'<ul class="notes">{notes}</ul>' if notes else "")
    return f"<section>{''.join(parts)}</section>"


def _table(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return scroll(name, f'<table class="plain law"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')
