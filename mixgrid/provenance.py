"""Where an artifact came from: noted in its record, never part of its key.

{"mixgrid": "0.1.0", "commit": "abc123", "host": "gpu-3", "device": "cpu", "python": "3.11.7",
 "packages": {"torch": "2.13.0"}, "finished": "2026-11-23T10:00:00+00:00", "seconds": 12.3}
"""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def provenance(*, seconds: float) -> dict[str, Any]:
    """The facts about this process, with the time that the step took."""
    return {**_constant_facts(), "finished": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": seconds}


@cache
def _constant_facts() -> dict[str, Any]:
    return {
        "mixgrid": installed_version("mixgrid"),
        "commit": _commit(),
        "host": platform.node(),
        "device": _device(),
        "python": platform.python_version(),
        "packages": {name: installed_version(name) for name in ("torch", "transformers", "tokenizers", "numpy")},
        "pid": os.getpid(),
    }


def installed_version(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout that this file lies in, if it lies in one."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _device() -> str:
    """The accelerator's name if this process has loaded torch and has one, else cpu."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name())
