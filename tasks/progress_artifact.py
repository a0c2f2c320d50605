"""Progress of a long step as a Prefect artifact: the newest is told every few seconds, and nobody waits for it.

    with ProgressArtifact("sft stage 1 ...") as artifact:
        artifact.tell(0.25, "step 47/188, loss 1.32, 5,100 tokens/s")

A Prefect API that does not answer costs the step nothing: another thread does the telling.
"""

import contextvars
import threading
import time
from types import TracebackType
from typing import Self
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

FIRST_AFTER_S = 5.0
EVERY_S = 3.0


class ProgressArtifact:
    """One artifact of the run that this is made in; none for a step that is over in seconds."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._news: tuple[float, str] | None = None
        self._wake = threading.Event()
        self._over = False
        self._context = contextvars.copy_context()  # it knows the run that the artifact belongs to
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """No more news."""
        self._over = True
        self._wake.set()

    def tell(self, share: float, text: str) -> None:
        """How far the step is; returns at once."""
        self._news = (share, text)
        if self._thread is None and time.monotonic() - self._started > FIRST_AFTER_S:
            self._thread = threading.Thread(target=lambda: self._context.run(self._work), daemon=True)
            self._thread.start()

    def _work(self) -> None:
        artifact: UUID | None = None
        told = None
        while not self._over:
            if (news := self._news) is not None and news != told:
                told, percent, text = news, round(100 * news[0], 1), f"{self._title}: {news[1]}"
                try:
                    if artifact is None:
                        made = create_progress_artifact(percent, description=text)
                        artifact = made if isinstance(made, UUID) else None
                    else:
                        update_progress_artifact(artifact, percent, description=text)
                except Exception:  # noqa: BLE001 (for people only: whatever it was must not end the step)
                    told = None
            self._wake.wait(EVERY_S)
