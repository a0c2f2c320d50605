"""Writing what a training leaves: a full disk, or a store that is away, is waited for and does not cost the training.

    with writing("the loss curve", folder): curve.to_parquet(folder / "loss.parquet")
    patiently(write, patience_s=300, kept="The snapshots up to step 40 are kept", progress=progress)
        StepError: the loss curve cannot be written to runs/sft/...: [Errno 28] No space left on device; given up after
        300 s of trying. The snapshots up to step 40 are kept: free space or mend the store, and run again

Several processes fail, wait and try again together: the first one decides.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException

from mixgrid.errors import MixgridError, StepError, StoreAway, StoreError
from mixgrid.progress import Progress

T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0


def patiently(write: Callable[[], None], *, patience_s: float, kept: str, progress: Progress) -> None:
    """`write` as often as it takes, for `patience_s`. Its StoreError comes on every process or on none.

    Raises StepError with what is `kept`, or StoreAway, if that was the reason to the last.
    """
    started, pause = time.monotonic(), FIRST_PAUSE_S
    while True:
        try:
            return write()
        except StoreError as error:
            spent = time.monotonic() - started
            left = patience_s - spent
            if from_main(left <= 0):  # clocks differ
                tried = f"given up after {spent:.0f} s of trying"
                kind = StoreAway if isinstance(error, StoreAway) else StepError
                raise kind(f"{error}; {tried}. {kept}: free space or mend the store, and run again") from error
            progress(0.0, f"{error}; trying again for {left:.0f} s")
            time.sleep(max(0.0, min(pause, left)))
            pause = min(2 * pause, LONGEST_PAUSE_S)


@contextmanager
def writing(what: str, folder: Path | str) -> Iterator[None]:
    """A disk that takes no more is a StoreError, whichever library met it; anything else is raised as it is."""
    try:
        yield
    except MixgridError:
        raise
    except (Exception, CheckpointException) as error:
        reason = refusal(error)
        if reason is None:
            raise
        raise StoreError(f"{what} cannot be written to {folder}: {reason}") from error


def refusal(error: BaseException | None) -> BaseException | None:
    """The system's refusal behind an error: torch hides it in a chain, safetensors and tokenizers have it as text."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    while error is not None and not isinstance(error, OSError) and "(os error " not in str(error):
        error = error.__cause__ or error.__context__
    return error


def on_main(action: Callable[[], T]) -> T:
    """What `action` gives in the first process, in every process; its MixgridError too."""
    result: Any = None
    failure: MixgridError | None = None
    if not dist.is_initialized() or dist.get_rank() == 0:
        try:
            result = action()
        except MixgridError as error:
            failure = error
    result, told = from_main((result, failure))
    if told is not None:
        raise failure or told
    return result  # type: ignore[no-any-return]


def from_main(value: Any) -> Any:
    """What the first process says, on every process."""
    if not dist.is_initialized():
        return value
    said = [value]
    dist.broadcast_object_list(said)
    return said[0]
