"""`mixgrid compare A B`: two cells, or all cells that two studies have in common, item by item.

    mixgrid compare demo:lab.small:dmt:1/2:0 demo:lab.small:rq4.mixed_sequential:1:0
    mixgrid compare demo@runs-before demo@runs-after --items

A side is STUDY[@STORE][:CELL]; a cell is named as `mixgrid status STUDY --cells` prints it, or MODEL:base.
"""

import argparse
import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mixgrid.cells import Selection
from mixgrid.comparison import Comparison, compare_scores, scores_of
from mixgrid.errors import StudyError
from mixgrid.lock import read_lock
from mixgrid.names import choose
from mixgrid.plan import Plan, make_plan
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.study_file import load_study
from mixgrid.untrusted import bounded, csv_cell

SIDE = re.compile(r"(?P<study>[^@:]+)(?:@(?P<store>.+?))?(?::(?P<cell>[^:@]+:(?:base|[^:]+:[^:]+:\d+)))?")
_FIGURES = ("n", "first", "second", "difference", "low", "high", "p", "both", "only_first", "only_second", "neither")
_LONGEST = 300
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: a plan, its store, and its checkpoints by cell name (one, where a cell is named)."""

    text: str
    plan: Plan
    store: Store
    checkpoints: dict[str, Step]
    one_cell: bool


def compare(options: argparse.Namespace) -> int:
    """Print the comparison; 1 if there is nothing that both have."""
    first, second = (_side(text, options.store) for text in (options.first, options.second))
    if first.one_cell != second.one_cell:
        raise StudyError("one side names a cell and the other does not; give two cells, or two studies")
    found = list(_compared(first, second))
    for line in _unlike(first, second, found):
        print(line, file=sys.stderr)
    form = {"table": _table, "json": _json, "csv": _csv}[options.format]
    print(form(found, items=options.items), end="")
    return 0 if found else 1


def _side(text: str, store_url: str) -> Side:
    parts = SIDE.fullmatch(text)
    if parts is None:
        raise StudyError(f"{text!r} is not STUDY[@STORE][:CELL]; a cell is like lab.small:dmt:1/4:0, or lab.small:base")
    store = Store(parts["store"] or store_url, warn=lambda message: print(message, file=sys.stderr))
    file = load_study(parts["study"])
    plan = make_plan(file.study, selection=Selection(), lock=read_lock(file, store), store=store)
    plan.look_up(store)
    checkpoints = {f"{model}:base": base for model, base in plan.bases.items()}
    checkpoints |= {name: chain[-1] for name, chain in plan.chains.items()}
    if cell := parts["cell"]:
        try:
            checkpoints = {cell: checkpoints[choose(cell, checkpoints, what="cell")]}
        except ValueError as error:
            near = str(error).split(" Allowed:")[0]
            raise StudyError(f"{text}: {near} `mixgrid status {parts['study']} --cells` lists all") from None
    return Side(text=text, plan=plan, store=store, checkpoints=checkpoints, one_cell=cell is not None)


def _compared(first: Side, second: Side) -> Iterator[tuple[str, Comparison]]:
    """Each pair of cells with each benchmark that both have a score of; equal scores of one store only once."""
    names = list(first.checkpoints) if first.one_cell else [n for n in first.checkpoints if n in second.checkpoints]
    done: set[tuple[str, str]] = set()
    for name in names:
        other = next(iter(second.checkpoints)) if first.one_cell else name
        theirs = {(a, b): step for a, b, step in scores_of(second.plan, second.checkpoints[other])}
        for ability, benchmark, step in scores_of(first.plan, first.checkpoints[name]):
            match = theirs.get((ability, benchmark))
            one = first.plan.found.get(step.key)
            two = second.plan.found.get(match.key) if match else None
            if one is None or two is None or (one.key, two.key) in done:
                continue
            done.add((one.key, two.key))
            said = compare_scores(first.store.open(one), second.store.open(two), ability=ability, benchmark=benchmark)
            title = f"{name} - {other}" if first.one_cell else name
            if isinstance(said, str):
                print(f"{title}, {ability} {benchmark}: {said}", file=sys.stderr)
            else:
                yield title, said


def _unlike(first: Side, second: Side, found: list[tuple[str, Comparison]]) -> Iterator[str]:
    if not first.one_cell:
        for one, other in ((first, second), (second, first)):
            alone = [name for name in one.checkpoints if name not in other.checkpoints]
            if alone:
                yield f"only in {one.text}: {len(alone)} cells, such as {alone[0]}"
    if not found:
        yield "there is no benchmark of which both have a score; `mixgrid run` makes them"


def _table(found: list[tuple[str, Comparison]], *, items: bool) -> str:
    """A block a pair of cells, a line a benchmark; under it the items that differ, if they are asked for."""
    lines, title = [], None
    for pair, c in found:
        if pair != title:
            lines += [f"{pair}    (first - second, 95 % interval over items, p of no difference)"]
            title = pair
        counts = "" if c.both is None else f"  both {c.both}, only first {c.only_first}, only second {c.only_second}"
        lines.append(
            f"  {c.ability + ': ' + c.benchmark:<28}n {c.n:>5}  {c.first:.3f} - {c.second:.3f} = {c.difference:+.3f}"
            f" [{c.low:+.3f}, {c.high:+.3f}]  p {c.p:.2g}{counts}"
        )
        for item in c.items if items else ():
            lines.append(f"    item {item.item}: {item.first:g} - {item.second:g}  {shown(item.prompt)}")
            lines += [f"      first:  {shown(item.first_answer)}", f"      second: {shown(item.second_answer)}"]
    return "".join(f"{line}\n" for line in lines)


def shown(text: str) -> str:
    """Hostile text on one line of a terminal: no control characters, at most so long."""
    return bounded(_UNPRINTABLE.sub("\ufffd", text.replace("\n", "\\n")), _LONGEST)


def _rows(found: list[tuple[str, Comparison]], *, items: bool) -> list[dict[str, Any]]:
    rows = []
    for pair, comparison in found:
        row = {"cells": pair, **asdict(comparison)}
        if not items:
            del row["items"]
        rows.append(row)
    return rows


def _json(found: list[tuple[str, Comparison]], *, items: bool) -> str:
    return json.dumps({"rows": _rows(found, items=items)}, indent=1) + "\n"


def _csv(found: list[tuple[str, Comparison]], *, items: bool) -> str:
    """One row a comparison; with `items`, one row an item that differs. Text is made safe for spreadsheets."""
    table = io.StringIO()
    kept = ["item", "first", "second", "prompt", "first_answer", "second_answer"] if items else list(_FIGURES)
    writer = csv.writer(table)
    writer.writerow(["cells", "ability", "benchmark", *kept])
    for pair, comparison in found:
        named = [pair, comparison.ability, comparison.benchmark]
        for source in comparison.items if items else [comparison]:
            values = [getattr(source, field) for field in kept]
            writer.writerow([csv_cell(v) if isinstance(v, str) else v for v in (*named, *values)])
    return table.getvalue()
