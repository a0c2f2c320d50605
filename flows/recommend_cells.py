"""`mixgrid recommend STUDY`: what to use for given weights and a budget, and what to run next.

mixgrid recommend demo --weights math=1,general=2 --budget 40000tokens
"""

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING

from mixgrid.errors import InputError, StudyError
from mixgrid.plan import Plan
from mixgrid.step import Step

if TYPE_CHECKING:
    from mixgrid.law.candidates import Budget

BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*(examples|tokens)?\s*")


def recommend(options: argparse.Namespace) -> int:
    """Fit the laws to what was scored so far; print lines, or the JSON of `recommendation.json`."""
    from flows.commands import planned
    from mixgrid.law import fit_study
    from mixgrid.law import recommend as recommend_cells
    from mixgrid.law.words import recommendation_lines
    from mixgrid.results import recipe_rows

    found, _ = planned(options)
    weights, budget = _weights(options.weights), _budget(options.budget, found)
    rows = recipe_rows(found.names, found.scored)
    laws = fit_study(rows, sizes=_sizes(found))
    missing = found.scored.count(None)
    if missing:
        print(f"{missing} of {len(found.scores)} scores are missing; what follows may change", file=sys.stderr)
    said = recommend_cells(laws, weights=weights, budget=budget)
    print(json.dumps({"study": found.study.name, **said}) if options.json else "\n".join(recommendation_lines(said)))
    return 0


def _sizes(plan: Plan) -> dict[str, int]:
    sizes = {ability: plan.sizes[ability] for ability in plan.study.abilities}
    unknown = [ability for ability, n in sizes.items() if n is None]
    if unknown:
        raise StudyError(f"study {plan.study.name}: how many rows {unknown[0]} has is unknown before it is downloaded")
    return {ability: n for ability, n in sizes.items() if n is not None}


def _weights(text: str | None) -> dict[str, float] | None:
    """`math=1,general=2`."""
    if text is None:
        return None
    weights = {}
    for part in text.split(","):
        ability, _, weight = part.partition("=")
        try:
            weights[ability.strip()] = float(weight)
        except ValueError:
            raise InputError(f"--weights: {part!r} is no ability=weight; write math=1,general=2") from None
    return weights


def _budget(text: str | None, plan: Plan) -> "Budget | None":
    from mixgrid.law.candidates import Budget

    if text is None:
        return None
    parts = BUDGET.fullmatch(text)
    if parts is None or not float(parts[1]):
        raise InputError(f"--budget {text!r}: write a number above 0 of examples or tokens, such as 600 or 40000tokens")
    each = _tokens_each(plan) if parts[2] == "tokens" else None
    return Budget(amount=float(parts[1]), tokens_each=each)


def _tokens_each(plan: Plan) -> dict[str, float]:
    """Each ability's mean tokens an example, over the study's tokenizers. Raises StudyError before there are any."""
    found: dict[str, list[float]] = {ability: [] for ability in plan.study.abilities}
    for key, step in plan.steps.items():
        if step.kind == "tokenize" and key in plan.found:
            rows, ledger = step.inputs["rows"], plan.found[key].ledger
            assert isinstance(rows, Step)
            source = next(name for name, source in plan.sources.items() if source.key == rows.key)
            if source in found:
                found[source].append(ledger["tokens"] / max(1, ledger["examples"]))
    lacking = [ability for ability, means in found.items() if not means]
    if lacking:
        raise StudyError(
            f"--budget in tokens: {lacking[0]} is not tokenised yet; give examples, or run the study first"
        )
    return {ability: sum(means) / len(means) for ability, means in found.items()}
