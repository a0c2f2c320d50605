"""The saturating power law: an ability's score or loss against its own amount and the others'.

    log(L - floor), or log of the odds = b + a log(1 + n/c) + a' log(1 + m/c) + sum over others of d log(1 + o/c)
                                           + r log(1 + all others / (n + c)) + f log(1 + others before / c)

n, o: examples of the ability itself and of each other one in the last stage; m: its own in earlier stages. For a loss
that is L = floor + e^b (1 + n/c)^a ..., the usual saturating power law with a factor for each kind of data; for a score
S it is the odds of its ceiling, S / (ceiling - S), that follow the power law. All parameters are fitted together; weak
priors (a normal each) keep those that a small grid does not show near nothing, and count as one more residual a
parameter.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixgrid.law.observations import Observations

if TYPE_CHECKING:
    import numpy as np

CELLS_NEEDED = 8
"""Below, and with fewer than three different own amounts, a law is not fitted: one could not tell it from chance."""
AMOUNTS_NEEDED = 3


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A fitted law. `parameters` in the order of `names`; `amount_scale` is exp of the one named so."""

    own: int
    abilities: tuple[str, ...]
    lower_is_better: bool
    parameters: "np.ndarray"
    prior_means: "np.ndarray"
    prior_errors: "np.ndarray"

    @property
    def names(self) -> tuple[str, ...]:
        """What each parameter is."""
        others = tuple(f"exponent of {ability}" for i, ability in enumerate(self.abilities) if i != self.own)
        own = self.abilities[self.own]
        return (
            "offset", "log amount scale", "floor" if self.lower_is_better else "ceiling", f"exponent of {own}",
            f"exponent of {own} before", "exponent of dilution", "exponent of others before", *others,
        )  # fmt: skip

    def bent(self, amounts: "np.ndarray", parameters: "np.ndarray | None" = None) -> "np.ndarray":
        """The law's values on its scale, one a row of `amounts`."""
        import numpy as np

        p = self.parameters if parameters is None else parameters
        count = len(self.abilities)
        last, before = amounts[:, :count], amounts[:, count:]
        others = np.arange(count) != self.own
        own, all_others, scale = last[:, self.own], last[:, others].sum(axis=1), np.exp(p[1])
        value = (
            p[0]
            + p[3] * np.log1p(own / scale)
            + p[4] * np.log1p(before[:, self.own] / scale)
            + p[5] * np.log1p(all_others / (own + scale))
            + p[6] * np.log1p(before[:, others].sum(axis=1) / scale)
            + np.log1p(last[:, others] / scale) @ p[7:]
        )
        share = -np.logaddexp(0.0, -p[2]) - np.logaddexp(0.0, -value)  # log of ceiling times what is reached of it
        law: np.ndarray = np.logaddexp(value, p[2]) if self.lower_is_better else 2 * np.arcsin(np.exp(share / 2))
        return law

    def slopes(self, amounts: "np.ndarray") -> "np.ndarray":
        """How much each value moves with each parameter: one row a cell, one column a parameter."""
        import numpy as np

        steps = 1e-4 * np.eye(len(self.parameters))
        up = [self.bent(amounts, self.parameters + step) for step in steps]
        down = [self.bent(amounts, self.parameters - step) for step in steps]
        slopes: np.ndarray = (np.array(up) - np.array(down)).T / 2e-4
        return slopes

    def errors(self, observations: Observations, misfit: float) -> "np.ndarray":
        """The standard error of each parameter, from the slopes at the fit and the priors."""
        import numpy as np

        slopes = self.slopes(observations.amounts)
        weights = 1 / (observations.noise**2 + misfit**2)
        certainty = (slopes.T * weights) @ slopes + np.diag(self.prior_errors**-2.0)
        errors: np.ndarray = np.sqrt(np.diag(np.linalg.inv(certainty)))
        return errors


def is_enough(observations: Observations) -> str | None:
    """None, or why a law cannot be fitted."""
    import numpy as np

    own = observations.abilities.index(observations.ability)
    different = len(np.unique(observations.amounts[:, own]))
    if len(observations) >= CELLS_NEEDED and different >= AMOUNTS_NEEDED:
        return None
    return (
        f"too few cells for a law of {observations.ability}: {len(observations)} with {different} different amounts of "
        f"its data; it takes {CELLS_NEEDED} with {AMOUNTS_NEEDED}. Run more proportions or experiments"
    )


def fit_curve(
    observations: Observations, *, start: Curve | None = None, misfit: float | None = None
) -> tuple[Curve, float]:
    """The law and its misfit: the standard deviation, on the law's scale, that noise does not account for.

    `start` is a law of nearly the same cells, from where the search goes on; a `misfit` given is kept.
    """
    import numpy as np
    from scipy.optimize import least_squares

    curve = start or _blank(observations)
    spread = misfit if misfit is not None else float(observations.bent.std()) / 3 + 1e-6
    for _ in range(1 if misfit is not None else 3):
        errors = np.sqrt(observations.noise**2 + spread**2)

        def residuals(p: "np.ndarray", curve: Curve = curve, errors: "np.ndarray" = errors) -> "np.ndarray":
            data = (curve.bent(observations.amounts, p) - observations.bent) / errors
            residual: np.ndarray = np.concatenate([data, (p - curve.prior_means) / curve.prior_errors])
            return residual

        found = least_squares(residuals, curve.parameters, method="lm", max_nfev=4000)
        curve = Curve(
            own=curve.own, abilities=curve.abilities, lower_is_better=curve.lower_is_better, parameters=found.x,
            prior_means=curve.prior_means, prior_errors=curve.prior_errors,
        )  # fmt: skip
        if misfit is None:
            left = (curve.bent(observations.amounts) - observations.bent) ** 2
            free = max(len(observations) - len(curve.parameters), 1)
            spread = float(np.sqrt(max(left.sum() / free - (observations.noise**2).mean(), 1e-3)))
    return curve, spread


def _blank(observations: Observations) -> Curve:
    """Where a search starts, which is also where the priors lie: no effect of others, more own data is better."""
    import numpy as np

    lower, count = observations.scale.lower_is_better, len(observations.abilities)
    positive = observations.amounts[observations.amounts > 0]
    middle = float(np.log(positive).mean()) if len(positive) else 0.0
    worst = observations.bent.max() if lower else -4.0
    best = observations.bent.min() - 1.0 if lower else 3.0
    better = -1.0 if lower else 1.0
    means = np.array([worst, middle, best, better, better / 2, 0.0, 0.0, *([0.0] * (count - 1))])
    errors = np.array([2.0, 1.5, 1.5, 1.5, 1.0, 1.0, 0.5, *([0.5] * (count - 1))])
    return Curve(
        own=observations.abilities.index(observations.ability), abilities=observations.abilities, lower_is_better=lower,
        parameters=means.copy(), prior_means=means, prior_errors=errors,
    )  # fmt: skip
