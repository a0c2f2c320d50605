"""What a box does to itself before it reads a byte of the program, and again before it runs it.

    confine(landlock=True, ...)   another user, no privileges, Landlock, seccomp: only Python's files can be read
    seal()                        the last capability and every path are gone; the program may run

It runs inside the box, which has nothing to lose yet, and is loaded there without the rest of mixgrid. All of it is
done through the C library: no helper program and no user namespace is needed.
"""

import ctypes
import os
import resource
import struct
from collections.abc import Sequence

from mixgrid.sandbox.syscalls import COMPUTING, READING, filter_program, supported

NOBODY = 65534
OLDEST_LANDLOCK = 1  # Linux 5.13

_SECCOMP_MODE_FILTER = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 8, 22, 38
_CAPGET, _CAPSET = {"x86_64": (125, 126), "aarch64": (90, 91)}.get(os.uname().machine, (0, 0))
_CAPABILITY_HEADER = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
_CAP_DAC_READ_SEARCH = 1 << 2
_CAP_KILL, _CAP_SETGID, _CAP_SETUID = 1 << 5, 1 << 6, 1 << 7
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # since that version
_NETWORK_SINCE, _NETWORK = 4, 0b11  # bind and connect TCP
_SCOPES_SINCE, _SCOPES = 6, 0b11  # abstract unix sockets and signals

_libc = ctypes.CDLL(None, use_errno=True)


def limit_resources(*, memory: int, cpu_s: int) -> None:
    """Bound memory in bytes, CPU time in seconds, and forbid files, cores, queues and processes."""
    limits = {"AS": memory, "CPU": cpu_s, "FSIZE": 0, "CORE": 0, "NOFILE": 64, "NPROC": 0, "MEMLOCK": 0, "MSGQUEUE": 0}
    for name, limit in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (least, least))


def confine(*, landlock: bool, readable: Sequence[str]) -> None:
    """Give up all but reading files (with Landlock: only `readable` and what is below). Raises OSError, step named."""
    if not supported():
        raise OSError("seccomp: the system calls of this machine are not known")
    kept = _capabilities() & _CAP_DAC_READ_SEARCH if landlock else 0  # Python may lie in root's home
    if landlock:
        _become_nobody()
    _set_capabilities(kept)
    _control(_PR_SET_DUMPABLE, 0)
    _control(_PR_SET_PDEATHSIG, 9)
    _control(_PR_SET_NO_NEW_PRIVS, 1)
    if landlock:
        _restrict_files(readable)
    _restrict_calls(filter_program(READING))


def seal() -> None:
    """Leave nothing but memory, time and the open descriptors. There is no way back."""
    _set_capabilities(0)
    _restrict_calls(filter_program(COMPUTING))


def _become_nobody() -> None:
    """Another user than root, if root may do that here and also kill the other; else the other walls hold it."""
    needed = _CAP_KILL | _CAP_SETGID | _CAP_SETUID
    if os.geteuid() == 0 and _capabilities() & needed == needed:
        _control(_PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _capabilities() -> int:
    """The first 32 of those that are in effect."""
    data = ctypes.create_string_buffer(24)
    _call("capabilities", _CAPGET, _CAPABILITY_HEADER, data)
    return int(struct.unpack("=6I", data.raw)[0])


def _set_capabilities(kept: int) -> None:
    _call("capabilities", _CAPSET, _CAPABILITY_HEADER, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def _control(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _restrict_calls(program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def landlock_version() -> int:
    """Landlock's ABI version here; 0 where the kernel has none or it is off."""
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)))


def _restrict_files(readable: Sequence[str]) -> None:
    version = landlock_version()
    if version < OLDEST_LANDLOCK:
        raise OSError("landlock: this kernel has none, or it is off")
    rights = next(rights for since, rights in sorted(_FILE_RIGHTS.items(), reverse=True) if since <= version)
    fields = [rights]
    if version >= _NETWORK_SINCE:
        fields.append(_NETWORK)
    if version >= _SCOPES_SINCE:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = _call("landlock", _LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    for path in readable:
        _allow_reading(rules, path)
    _call("landlock", _LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def _allow_reading(rules: int, path: str) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rights = _READ_FILE | _READ_DIRECTORY if os.path.isdir(path) else _READ_FILE  # noqa: PTH112 (pathlib is slow to load)
    _call("landlock", _LANDLOCK_ADD, rules, 1, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)


def _call(step: str, number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), step)
    return result
