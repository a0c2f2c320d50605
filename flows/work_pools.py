"""Make or update the work pools that a file declares, as often as you like: `python -m flows.work_pools FILE`.

    # deployments/pools.yaml
    gpu:
      type: process                    # or kubernetes
      runs: steps                      # steps get queues with priorities; `grids` do not
      limit: 8                         # runs at once, over all workers; left out: as many as the workers take
      defaults: {command: ...}         # defaults of the pool's job variables
      template: {...}                  # a whole base job template; left out: Prefect's own for the type

The deployments (deployments/prefect.yaml) name these pools, so this comes first.
"""

import copy
import sys
from pathlib import Path
from typing import Any, Literal

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mixgrid.errors import InputError
from tasks.dispatch import QUEUES


class PoolFile(BaseModel):
    """One work pool as its file declares it."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["process", "kubernetes"]
    runs: Literal["steps", "grids"]
    description: str = ""
    limit: int | None = Field(default=None, ge=1)
    defaults: dict[str, Any] = {}
    template: dict[str, Any] | None = None

    def base_job_template(self) -> dict[str, Any]:
        """The template with `defaults` as the defaults of its variables. Raises InputError for an unknown variable."""
        if self.template is None and self.type != "process":
            raise InputError(f"a pool of type {self.type} needs its `template`")
        template = copy.deepcopy(self.template or ProcessWorker.get_default_base_job_template())
        variables = template["variables"]["properties"]
        for name, value in self.defaults.items():
            if name not in variables:
                raise InputError(f"defaults.{name}: no job variable; allowed: {', '.join(sorted(variables))}")
            variables[name]["default"] = value
        return template


def read_pools(path: Path) -> dict[str, PoolFile]:
    """The pools of a file. Raises InputError with what is wrong."""
    try:
        return TypeAdapter(dict[str, PoolFile]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['input']!r}: {e['msg']}" for e in error.errors())
        raise InputError("\n".join(f"{path}, {line}" for line in lines)) from error


def make_pools(path: Path) -> list[str]:
    """Make what is not there and update what is; returns the pools' names."""
    pools = read_pools(path)
    declared = {
        name: WorkPoolCreate(
            name=name,
            type=pool.type,
            description=pool.description,
            concurrency_limit=pool.limit,
            base_job_template=pool.base_job_template(),
        )
        for name, pool in pools.items()
    }
    with get_client(sync_client=True) as client:
        for name, pool in pools.items():
            client.create_work_pool(declared[name], overwrite=True)
            for queue, priority in QUEUES.items() if pool.runs == "steps" else ():
                _make_queue(client, name, queue, priority)
    return list(pools)


def _make_queue(client: SyncPrefectClient, pool: str, queue: str, priority: int) -> None:
    try:
        client.create_work_queue(queue, priority=priority, work_pool_name=pool)
    except ObjectAlreadyExists:
        found = client.read_work_queue_by_name(queue, work_pool_name=pool)
        if found.priority != priority:
            client.update_work_queue(found.id, priority=priority)


if __name__ == "__main__":
    try:
        print("work pools:", ", ".join(make_pools(Path(sys.argv[1]))))
    except InputError as error:
        sys.exit(str(error))
