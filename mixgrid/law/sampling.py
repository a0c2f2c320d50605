"""Draws of what the law leaves open: many whole surfaces that fit the cells, each as likely as another.

draw(forecast, amounts, draws=1000)  ->  1000 rows on the law's scale, one column a row of `amounts`

Columns hang together as the forecast's covariance says: two neighbouring proportions are right or wrong together, so
that their difference is surer than either. The draws are the same every time.
"""

from typing import TYPE_CHECKING

from mixgrid.law.forecast import NORMAL, Forecast

if TYPE_CHECKING:
    import numpy as np


def draw(forecast: Forecast, amounts: "np.ndarray", *, draws: int) -> "np.ndarray":
    """Draws of the expectation at each of `amounts`; as wide as the leave-one-out errors ask for."""
    import numpy as np

    expected = forecast.at(amounts)
    values, vectors = np.linalg.eigh(expected.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) * max(1.0, forecast.width() / NORMAL)
    noise = np.random.Generator(np.random.PCG64(0)).standard_normal((draws, len(values)))
    rows: np.ndarray = expected.bent + noise @ root.T
    return rows
