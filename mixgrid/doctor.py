"""What works on this machine, and what to do about what does not.

Check("store", True, "runs: written, read and removed a file")
"""

import os
import platform
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from mixgrid.cores import available_cores
from mixgrid.errors import DamagedArtifact, StoreError
from mixgrid.judge.settings import JudgeRuntime
from mixgrid.plan import Plan
from mixgrid.provenance import installed_version
from mixgrid.store import Store

PACKAGES = ("prefect", "fastapi", "torch", "transformers", "accelerate", "datasets", "pandas", "fschat", "s3fs")


@dataclass(frozen=True)
class Check:
    """One thing that works or not; `detail` says what to do where it does not."""

    name: str
    works: bool
    detail: str


def checks(store_url: str) -> Iterator[Check]:
    """All checks, as they are made."""
    versions = {name: installed_version(name) for name in PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    remedy = f"not installed: {', '.join(missing)}; pip install mixgrid"
    yield Check("packages", not missing, remedy if missing else ", ".join(f"{n} {v}" for n, v in versions.items()))
    yield Check("python", True, f"{platform.python_version()} on {platform.system()}, {available_cores()} cores")
    yield _store(store_url)
    yield _device()
    yield _sandbox()
    yield _judge()


def _sandbox() -> Check:
    from mixgrid.sandbox import describe_sandbox

    works, detail = describe_sandbox()
    return Check("sandbox", works, detail)


def _judge() -> Check:
    """What `mt_bench` needs; without it all else works, so this is never a problem."""
    if installed_version("openai") is None:
        return Check("judge", True, "openai is not installed; mt_bench needs it: pip install 'mixgrid[judge]'")
    variable = JudgeRuntime().api_key_variable
    there = "is set" if os.environ.get(variable) else "is not set, which servers of your own may not need"
    return Check("judge", True, f"openai {installed_version('openai')}; the key's variable {variable} {there}")


def verify(plan: Plan, store: Store) -> list[str]:
    """Check every file of what the store has of a study; damaged artifacts are taken out and made again by a run."""
    damaged = []
    for record in plan.found.values():
        artifact = store.open(record)
        try:
            for name in record.files:
                artifact.path(name)
        except DamagedArtifact as error:
            store.retire(record.folder)
            damaged.append(str(error))
    return damaged


def _store(url: str) -> Check:
    path = f".doctor/{uuid.uuid4().hex}"
    try:
        store = Store(url)
        store.write_atomically(path, b"mixgrid")
        same = store.read_bytes(path) == b"mixgrid"
        store.remove(path)
        return Check("store", same, f"{url}: written, read and removed an object")
    except StoreError as error:
        return Check("store", False, f"{error}; give a folder you may write to, or set the AWS variables for s3://")


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("device", True, f"{torch.cuda.get_device_name()} ({torch.cuda.device_count()} of them)")
    return Check("device", True, f"cpu, torch {torch.__version__}; no CUDA device is visible")
