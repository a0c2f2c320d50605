"""The way from a grid's task to the run that makes its step on a work pool: a link artifact, a chip above its bar.

    link_to_run("sft stage 1 lab.small", run.id, pool="gpu")      # leads to the run's log, progress and files

The link names no host, so that it leads on wherever the UI is reached from, through a tunnel too.
"""

from contextlib import suppress
from uuid import UUID

from prefect.artifacts import create_link_artifact
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings


def link_to_run(title: str, run: UUID, *, pool: str) -> None:
    """For people only: an API that does not answer at once costs the step nothing but the link."""
    with suppress(Exception), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        create_link_artifact(f"/runs/flow-run/{run}", link_text=title, description=f"Its run on the work pool {pool}.")
