"""A map of hidden states: t-SNE, which keeps near points near (van der Maaten and Hinton 2008).

    embed(states)  ->  float32 (N, 2)

Scikit-learn's, from the first two principal components and with a fixed seed. On one thread: with several its sums are
added in any order, and the map of 180 points came out differently.
"""

import numpy as np
from numpy.typing import NDArray

SEED = 0
PERPLEXITY = 30.0
"""How many neighbours a point is to keep, about: the usual one; a third of the points where they are few."""


def embed(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same states give the same map on a machine. Axes, distances between clusters and their sizes mean nothing."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(PERPLEXITY, (len(states) - 1) / 3)
    with threadpool_limits(1):
        return np.asarray(TSNE(init="pca", random_state=SEED, perplexity=perplexity).fit_transform(states))
