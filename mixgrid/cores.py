"""How many cores this process may use, which a container or a batch system may bound.

available_cores()  -> 2
"""

import os


def available_cores() -> int:
    """At least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
