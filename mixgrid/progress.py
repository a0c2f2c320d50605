"""Progress of a step, told by whoever works to whoever watches.

progress(0.25, "step 47/188, loss 1.32, 5,100 tokens/s")
"""

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with the share that is done, from 0 to 1, and a short text for people."""


def silent(share: float, text: str) -> None:
    """Nobody watches."""
