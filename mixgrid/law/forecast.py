"""What a cell that was not run would score: the law, how far its neighbours depart from it, and an honest interval.

    forecast = fit(observations)
    forecast.at(amounts)           -> Expected(bent=[...], covariance=[[...]])
    forecast.intervals(expected)   -> [(0.41, 0.33, 0.50)]     a score that a new cell would be measured at

Cells near one another in log amounts depart from a law alike. Those departures are a Gaussian process (Rasmussen and
Williams 2006, section 2.7) on top of it, its size, reach and remaining misfit the ones of a small grid that the data
find likeliest. Each cell is then left out once and foretold from the others (in closed form where there are many); how
many predicted standard errors off those forecasts are sets the width of every interval (conformal, Lei et al. 2018), so
that they cover what they claim even where noise is not normal.
"""

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixgrid.law.amounts import log_amounts
from mixgrid.law.curve import Curve, fit_curve
from mixgrid.law.observations import Observations
from mixgrid.statistics import t_quantile

if TYPE_CHECKING:
    import numpy as np

CONFIDENCE = 0.95
NORMAL = 1.959964
_REACHES = (0.7, 1.5, 3.0, 6.0)  # in log amounts of the ability's own data: a factor of 2 to one of 400
_STRETCHES = (1.0, 3.0)  # how much farther it reaches in the others' amounts
_SIZES = (0.05, 0.2, 0.5, 1.2)  # of the departures; the rest of the misfit has no pattern
_RESTS = (0.02, 0.1, 0.4)
REFITTED = 80
"""Refits take a time that grows with the fourth power of the cells: 2 s a measure at 100, hours at 1,000."""
SIZED = 120
"""The sizes and reach of departures are found on so many cells, spread evenly over the study's order."""
LeftOut = tuple["np.ndarray", "np.ndarray", "np.ndarray"]
"""Each cell as foretold from the others: by law and departures, by the law alone, and the standard errors."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Expectations on the law's scale, with their covariance, for a list of amounts."""

    bent: "np.ndarray"
    covariance: "np.ndarray"


@dataclass(frozen=True, kw_only=True)
class Departures:
    """How the cells depart from the law: size and reach of what neighbours share, and what none shares."""

    size: float
    reach: float
    stretch: float
    rest: float


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A law with what it was fitted to. `left_out` has each cell as foretold from all others, on the law's scale."""

    observations: Observations
    curve: Curve
    misfit: float
    departures: Departures
    left_out: "np.ndarray"
    left_out_curve: "np.ndarray"
    left_out_errors: "np.ndarray"

    def at(self, amounts: "np.ndarray") -> Expected:
        """Law and departures at some amounts: what the mean over many seeds and items would be."""
        return _expected(self.observations, self.curve, self.departures, amounts)

    def width(self, *, leave: int | None = None) -> float:
        """Predicted standard errors either way that hold 95 %; of all cells but `leave`."""
        import numpy as np

        ratios = np.abs(self.observations.bent - self.left_out) / self.left_out_errors
        if leave is not None:
            ratios = np.delete(ratios, leave)
        place = math.ceil((len(ratios) + 1) * CONFIDENCE)
        if place <= len(ratios):
            return float(np.sort(ratios)[place - 1])
        return max(float(ratios.max()), t_quantile(CONFIDENCE, degrees=max(1, len(ratios) - 4)))

    def intervals(self, expected: Expected, *, seeds: float | None = None) -> list[tuple[float, float, float]]:
        """(score, low, high) of each expectation; with `seeds`, of what a cell with so many is measured at."""
        import numpy as np

        variance = np.diag(expected.covariance).copy()
        if seeds is not None:
            variance += self.departures.rest**2 + self.observations.seed_error**2 / seeds
            variance += item_error(self.observations, expected.bent) ** 2
        half, unbend = self.width() * np.sqrt(variance), self.observations.scale.unbend
        parts = (unbend(expected.bent), unbend(expected.bent - half), unbend(expected.bent + half))
        return [(float(v), float(low), float(high)) for v, low, high in zip(*parts, strict=True)]


def fit(observations: Observations) -> Forecast:
    """Fit the law and its departures, and leave out each cell once.

    Up to `REFITTED` cells all is found anew without it. Above, one cell moves a fit too little to pay for one each.
    """
    curve, misfit = fit_curve(observations)
    departures = _likeliest(observations, curve)
    leave_out = _refit if len(observations) <= REFITTED else in_closed_form
    left, left_curve, errors = leave_out(observations, curve, misfit, departures)
    return Forecast(
        observations=observations, curve=curve, misfit=misfit, departures=departures,
        left_out=left, left_out_curve=left_curve, left_out_errors=errors,
    )  # fmt: skip


def _refit(observations: Observations, curve: Curve, misfit: float, _departures: Departures) -> "LeftOut":
    """Each cell foretold by a law and departures that were found anew without it."""
    import numpy as np

    count = len(observations)
    left, left_curve, errors = np.empty(count), np.empty(count), np.empty(count)
    for cell in range(count):
        alone = np.arange(count) == cell
        others = observations.without(alone)
        other_curve, _ = fit_curve(others, start=curve, misfit=misfit)
        other_departures = _likeliest(others, other_curve)
        expected = _expected(others, other_curve, other_departures, observations.amounts[alone])
        left[cell] = expected.bent[0]
        left_curve[cell] = other_curve.bent(observations.amounts[alone])[0]
        variance = expected.covariance[0, 0] + other_departures.rest**2
        variance += observations.seed_error**2 / observations.seeds[cell]
        errors[cell] = math.sqrt(variance + item_error(observations, expected.bent)[0] ** 2)
    return left, left_curve, errors


def in_closed_form(observations: Observations, curve: Curve, misfit: float, departures: Departures) -> "LeftOut":
    """The same for many cells without a fit each: law linear about its fit, sizes of departures those of all cells.

    Cells left out of a Gaussian process (Rasmussen and Williams 2006, equations 5.10 to 5.12), and of a weighted least
    squares fit with priors: its residual over 1 - leverage.
    """
    import numpy as np

    seen, slopes, noise = observations.amounts, curve.slopes(observations.amounts), observations.noise
    covariance = (slopes * curve.prior_errors**2) @ slopes.T + _kernel(observations, departures, seen, seen)
    own = noise**2 + departures.rest**2
    inverse = np.linalg.inv(covariance + np.diag(own))
    spread = 1 / np.diag(inverse)
    left = observations.bent - inverse @ (observations.bent - _prior_mean(curve, seen, slopes)) * spread
    variance = np.maximum(spread - own, 0) + departures.rest**2 + observations.seed_error**2 / observations.seeds
    errors = np.sqrt(variance + item_error(observations, left) ** 2)
    weights = 1 / (noise**2 + misfit**2)
    certainty = (slopes.T * weights) @ slopes + np.diag(curve.prior_errors**-2.0)
    leverage = weights * np.einsum("ij,ji->i", slopes, np.linalg.solve(certainty, slopes.T))
    left_curve = observations.bent - (observations.bent - curve.bent(seen)) / (1 - leverage)
    return left, left_curve, errors


def item_error(observations: Observations, bent: "np.ndarray") -> "np.ndarray":
    """The items' standard error: the same for any rate on its scale; for others as in the cells that were run."""
    import numpy as np

    scale = observations.scale
    plain = scale.lower_is_better or scale.top != 1
    return np.full(len(bent), float(np.median(observations.item_errors)) if plain else scale.items**-0.5)


def _kernel(observations: Observations, departures: Departures, a: "np.ndarray", b: "np.ndarray") -> "np.ndarray":
    """What departures at `a` and `b` have in common: less, the farther apart the log amounts are."""
    import numpy as np

    x, y = log_amounts(a, observations.unit), log_amounts(b, observations.unit)
    names = 2 * observations.abilities
    weights = np.array([1.0 if name == observations.ability else departures.stretch**-2 for name in names])
    squares = (weights * (x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)
    distance = np.sqrt(3 * squares) / departures.reach
    shared: np.ndarray = departures.size**2 * (1 + distance) * np.exp(-distance)
    return shared


def _likeliest(observations: Observations, curve: Curve) -> Departures:
    """The sizes and reach with the highest likelihood of what the law, refitted to each, leaves over."""
    import numpy as np

    observations = observations.thinned(SIZED)
    seen, slopes = observations.amounts, curve.slopes(observations.amounts)
    off = observations.bent - _prior_mean(curve, seen, slopes)
    fixed = (slopes * curve.prior_errors**2) @ slopes.T + np.diag(observations.noise**2)
    best, found = -math.inf, Departures(size=0.1, reach=1.5, stretch=1, rest=0.1)
    sizes, rests = np.array(list(itertools.product(_SIZES, _RESTS))).T
    for reach, stretch in itertools.product(_REACHES, _STRETCHES):
        shape = _kernel(observations, Departures(size=1, reach=reach, stretch=stretch, rest=0), seen, seen)
        covariances = sizes[:, None, None] ** 2 * shape + fixed + rests[:, None, None] ** 2 * np.eye(len(seen))
        lower = np.linalg.cholesky(covariances)
        solved = np.linalg.solve(lower, np.broadcast_to(off[:, None], (len(sizes), len(off), 1)))[..., 0]
        likelihoods = -0.5 * (solved**2).sum(axis=1) - np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
        i = int(likelihoods.argmax())
        if likelihoods[i] > best:
            best = float(likelihoods[i])
            found = Departures(size=float(sizes[i]), reach=reach, stretch=stretch, rest=float(rests[i]))
    return found


def _expected(observations: Observations, curve: Curve, departures: Departures, amounts: "np.ndarray") -> Expected:
    """The law, linear about its fit, and its departures, found together: each as unsure as the data leave it."""
    import numpy as np

    seen = observations.amounts
    here, there = curve.slopes(seen), curve.slopes(amounts)
    loose = curve.prior_errors**2
    own = (here * loose) @ here.T + _kernel(observations, departures, seen, seen)
    own += np.diag(observations.noise**2 + departures.rest**2)
    across = (there * loose) @ here.T + _kernel(observations, departures, amounts, seen)
    among = (there * loose) @ there.T + _kernel(observations, departures, amounts, amounts)
    solved = np.linalg.solve(own, across.T)
    bent = _prior_mean(curve, amounts, there) + solved.T @ (observations.bent - _prior_mean(curve, seen, here))
    return Expected(bent=bent, covariance=among - across @ solved)


def _prior_mean(curve: Curve, amounts: "np.ndarray", slopes: "np.ndarray") -> "np.ndarray":
    """What the law, linear about its fit, says where every parameter is at its prior mean."""
    mean: np.ndarray = curve.bent(amounts) + slopes @ (curve.prior_means - curve.parameters)
    return mean
