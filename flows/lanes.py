"""Lanes: where the steps of a grid run, and how many at once: one lane here, and one for each work pool.

make_lanes(store, runtime, workers=2, ...)
    -> [Lane(kinds={"download", ..., "score"}, at_once=2), Lane(kinds={"sft", "answer"}, at_once=64)]
"""

from dataclasses import dataclass

from mixgrid.live import LiveRun
from mixgrid.runtime import StudyRuntime
from mixgrid.steps import KIND_ORDER
from mixgrid.store import Store
from mixgrid.warm import Slots
from tasks.dispatch import Dispatched
from tasks.mechanism import Maker


@dataclass
class Lane:
    """Step kinds that share a maker, and how many of their steps it takes at once."""

    kinds: frozenset[str]
    maker: Maker
    at_once: int
    active: int = 0


def make_lanes(store: Store, runtime: StudyRuntime, *, workers: int, threads: int, live: LiveRun) -> list[Lane]:
    """Warm processes for what runs here; a work pool for what is routed to it."""
    lanes = [
        Lane(
            frozenset(KIND_ORDER) - frozenset(runtime.routes),
            Slots(workers, store_url=store.url, threads=threads),
            workers,
        )
    ]
    for pool in sorted(set(runtime.routes.values())):
        kinds = frozenset(kind for kind, to in runtime.routes.items() if to == pool)
        maker = Dispatched(store, pool, settings=runtime.dispatch, threads=threads, live=live)
        lanes.append(Lane(kinds, maker, runtime.dispatch.at_once))
    return lanes
