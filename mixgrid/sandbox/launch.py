"""How the two processes of a case are started: the box around the program, and the checker outside.

    bwrap --unshare-all --cap-drop ALL --ro-bind /usr/lib /usr/lib ... python -P -s -S -B -c BOOT     bubblewrap
    python -P -s -S -B -c BOOT                                                                        native, unsafe

`BOOT` reads a frame with compiled modules from standard input, so that nothing of mixgrid has to be readable in a box.
Both start with an environment that has only a fixed hash seed, so that the order of a set is the same in every run
(`-I`, which is `-E -P -s`, would ignore it); the box clears even that. They start by Popen, never by a fork of a
process that may hold a GPU or other threads.
"""

import functools
import importlib.util
import marshal
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

Mode = Literal["bubblewrap", "native", "unsafe"]

ENVIRONMENT = {"PYTHONHASHSEED": "0"}
BOX_MODULES = ("values", "syscalls", "confine", "preload", "box")
CHECKER_MODULES = ("values", "checker")

BOOT = """
import marshal, os, sys
def take(size):
    data = bytearray()
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(1)
        data += part
    return data
modules, settings = marshal.loads(take(int.from_bytes(take(4), "big")))
for name, code in modules:
    module = sys.modules[name] = type(sys)(name)
    exec(code, module.__dict__)
module.main(settings)
"""


def boot_frame(modules: Sequence[str], settings: Mapping[str, object]) -> bytes:
    """What `BOOT` reads: the modules, the last of which has `main`, and its settings."""
    data = marshal.dumps(([_compiled(name) for name in modules], dict(settings)))
    return len(data).to_bytes(4, "big") + data


@functools.cache
def _compiled(name: str) -> tuple[str, object]:
    full_name = f"{__package__}.{name}"
    spec = importlib.util.find_spec(full_name)
    if spec is None or spec.loader is None:
        raise ImportError(f"{full_name} is not installed")
    return full_name, spec.loader.get_code(full_name)  # type: ignore[attr-defined]


@functools.cache
def python() -> tuple[str, ...]:
    """This interpreter, that of a virtual environment's base, without site-packages or any user's settings."""
    executable = os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
    return (executable, "-P", "-s", "-S", "-B", "-X", "utf8", "-c", BOOT)


@functools.cache
def readable() -> tuple[str, ...]:
    """What Python reads to start and import: itself, its library and the system's shared libraries."""
    prefix = sys.base_prefix
    library = sysconfig.get_path("stdlib", vars={"installed_base": prefix})
    platform_library = sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix})
    system = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/nix/store")
    own = (python()[0], library, platform_library, f"{prefix}/lib", f"{sys.base_exec_prefix}/lib")
    real = [os.path.realpath(path) for path in own]  # Python finds its library from where it really lies
    return tuple(dict.fromkeys(path for path in (*system, *own, *real) if Path(path).exists()))


def bubblewrap() -> str | None:
    """The path of `bwrap`, if it is installed."""
    return shutil.which("bwrap")


def in_bubblewrap(command: Sequence[str], *, report: int | None = None) -> list[str]:
    """`command` in namespaces of its own: no network, no /proc, no /dev, nothing writable, no capability.

    `report` is a descriptor to which the process id of `command`, as seen from here, is written as JSON.
    """
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    for path in readable():
        options += ["--ro-bind", path, path]
    options += ["--remount-ro", "/", "--chdir", "/"]
    if report is not None:
        options += ["--info-fd", str(report)]
    return [str(bubblewrap()), *options, "--", *command]


def start(command: Sequence[str], *, stdin: int, stdout: int, keep: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Start a process that has nothing of ours but the two ends and the descriptors in `keep`."""
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        pass_fds=keep,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
