"""Which strategy and proportions to use for given weights of the abilities, and what to run next to be surer.

recommend(laws, weights={"math": 1, "code": 1, "general": 2})["models"][0]
    -> {"model": "lab.small", "best": {"strategy": "dmt", "k": "1/2", "value": {...}, "expected": {...}},
        "close": [...], "next": [{"strategy": "dmt", "k": "3/8", "gain": 0.008, ...}, ...]}

A candidate's value is the weighted mean of its abilities' uses, each from 0 to 1. Whole surfaces are drawn that fit the
cells; `chance_better` is how often a candidate beats the best one there, `gain` what knowing it for certain would be
worth: the mean of how far it beats the best one (Frazier 2018, section 4.1, with two unknowns). The largest gains are
run next; where no draw has any, the cells that could be worth most.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixgrid.errors import StudyError
from mixgrid.law.amounts import log_amounts, matrix
from mixgrid.law.candidates import Budget, Candidate, candidates
from mixgrid.law.forecast import Forecast
from mixgrid.law.front import summary, use
from mixgrid.names import choose

if TYPE_CHECKING:
    import numpy as np

    from mixgrid.law.study_law import StudyLaw

DRAWS = 2000
CLOSE = 0.1
"""A candidate that beats the best one in a tenth of the draws is within noise of it."""
MOST_CLOSE, LEAST_NEXT, MOST_NEXT = 5, 2, 3
_APART = 0.6
"""Log amounts between two cells that are worth running both: nearer, the second tells what the first has told."""


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Candidates with their draws: `values` has a row a draw, a column a candidate."""

    candidates: Sequence[Candidate]
    amounts: "np.ndarray"
    values: "np.ndarray"
    best: int


def recommend(
    laws: "StudyLaw", *, weights: Mapping[str, float] | None = None, budget: Budget | None = None
) -> dict[str, Any]:
    """The recommendation for each model. Raises StudyError for weights that name no ability or are all 0."""
    measured = {measure.ability for _, measure in (*laws.forecasts, *laws.refused)}
    if not measured:
        raise StudyError("there are no scores yet to recommend anything from; run the study first")
    chosen = checked_weights(weights, list(laws.sizes), measured=measured)
    models = [_for_model(laws, model, chosen, budget) for model in laws.models]
    limit = None
    if budget is not None:
        limit = {"amount": budget.amount, "unit": "examples" if budget.tokens_each is None else "tokens"}
    return {"weights": chosen, "budget": limit, "models": models}


def checked_weights(
    weights: Mapping[str, float] | None, abilities: Sequence[str], *, measured: Collection[str]
) -> dict[str, float]:
    """A weight an ability: 0 for those not named; where none is, 1 for each that a benchmark measures."""
    for ability in weights or ():
        try:
            choose(ability, abilities, what="ability")
        except ValueError as error:
            raise StudyError(f"--weights: {error}") from None
    chosen = {a: float(weights.get(a, 0.0)) if weights else float(a in measured) for a in abilities}
    if any(weight < 0 for weight in chosen.values()) or not sum(chosen.values()):
        raise StudyError(f"--weights {chosen}: weights are 0 or more, and one at least is above 0")
    return chosen


def _for_model(laws: "StudyLaw", model: str, weights: Mapping[str, float], budget: Budget | None) -> dict[str, Any]:
    import numpy as np

    headline = laws.headline(model)
    lacking = [ability for ability, weight in weights.items() if weight and ability not in headline]
    if lacking:
        reasons = [reason for (of, m), reason in laws.refused.items() if of == model and m.ability in lacking]
        return {
            "model": model,
            "best": None,
            "reason": reasons[0] if reasons else f"no benchmark measures {lacking[0]}",
        }
    found = candidates(laws, model=model, budget=budget)
    amounts = matrix([c.amounts for c in found], tuple(laws.sizes))
    total = sum(weights.values())
    weighed = {a: w / total for a, w in weights.items() if w}
    values = np.sum([w * use(headline[a], amounts, draws=DRAWS) for a, w in weighed.items()], axis=0)
    judged = _Judged(candidates=found, amounts=amounts, values=values, best=int(values.mean(axis=0).argmax()))
    beats = (values > values[:, [judged.best]]).mean(axis=0)
    close = [i for i in np.argsort(-beats) if i != judged.best and beats[i] >= CLOSE][:MOST_CLOSE]
    return {
        "model": model,
        "measures": {ability: _measure_of(laws, model, headline[ability]) for ability in headline},
        "candidates": len(found),
        "best": _entry(laws, judged, judged.best, headline),
        "close": [_entry(laws, judged, int(i), headline) | {"chance_better": round(float(beats[i]), 3)} for i in close],
        "next": [
            _entry(laws, judged, i, headline) | {"gain": round(gain, 5), "chance_better": round(float(beats[i]), 3)}
            for i, gain in _most_worth(judged, laws)
        ],
    }


def _measure_of(laws: "StudyLaw", model: str, forecast: Forecast) -> str:
    return next(m.benchmark for (of, m), f in laws.forecasts.items() if of == model and f is forecast)


def _most_worth(judged: _Judged, laws: "StudyLaw") -> list[tuple[int, float]]:
    """The candidates with the largest expected gain, each some way from those before it and not run so far."""
    import numpy as np

    ahead = np.maximum(judged.values - judged.values[:, [judged.best]], 0).mean(axis=0)
    if not judged.candidates[judged.best].seeds:  # the best one itself was never run: how much could it disappoint?
        others = np.delete(judged.values, judged.best, axis=1)
        second = others[:, [int(others.mean(axis=0).argmax())]] if others.size else judged.values
        ahead[judged.best] = float(np.maximum(second[:, 0] - judged.values[:, judged.best], 0).mean())
    unit = float(judged.amounts[judged.amounts > 0].min())
    places = log_amounts(judged.amounts, unit)
    most_seeds = max((len(cell.seeds) for cell in laws.cells), default=1)
    chosen: list[int] = []
    highs = np.quantile(judged.values, 0.975, axis=0)
    for i in np.lexsort((-highs, -ahead)):
        known = judged.candidates[i].seeds >= most_seeds
        near = any(np.sqrt(((places[i] - places[j]) ** 2).sum()) < _APART for j in chosen)
        if not known and not near and (ahead[i] > 0 or len(chosen) < LEAST_NEXT):
            chosen.append(int(i))
    return [(i, float(ahead[i])) for i in chosen[:MOST_NEXT]]


def _entry(laws: "StudyLaw", judged: _Judged, i: int, headline: Mapping[str, Forecast]) -> dict[str, Any]:
    """One candidate with what a cell of it, with as many seeds as most, would be measured at."""
    candidate = judged.candidates[i]
    seeds = max((len(cell.seeds) for cell in laws.cells), default=1) or 1
    expected = {}
    for ability, forecast in headline.items():
        value, low, high = forecast.intervals(forecast.at(judged.amounts[[i]]), seeds=seeds)[0]
        expected[ability] = {"score": round(value, 4), "low": round(low, 4), "high": round(high, 4)}
    return {
        "label": candidate.label,
        "strategy": candidate.strategy,
        "k": str(candidate.k),
        "proportions": [{ability: str(k) for ability, k in stage.items()} for stage in candidate.stages],
        "examples_an_epoch": candidate.amounts.total,
        "seeds_run": candidate.seeds,
        "value": summary(judged.values[:, i]),
        "expected": expected,
    }
