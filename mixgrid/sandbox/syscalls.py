"""The system calls that are left to a program in the box, as a seccomp filter (an allow-list).

    filter_program(READING)    Python starts and imports: files may be opened for reading
    filter_program(COMPUTING)  the program runs: memory, time, and the descriptors it has; no path, process or socket

What is not listed fails with EPERM. The numbers are those of Linux's tables (arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h). A deny-list would have missed chmod, chown, utime, io_uring and what comes next.
"""

import errno
import platform
import struct
from collections.abc import Iterable, Mapping

_NUMBERS: Mapping[str, tuple[int | None, int | None]] = {  # x86_64, aarch64
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "readv": (19, 65),
    "writev": (20, 66), "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    "madvise": (28, 233), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "futex": (202, 98), "sched_yield": (24, 124),
    "nanosleep": (35, 101), "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getrusage": (98, 165), "alarm": (37, None),
    "getitimer": (36, 102), "setitimer": (38, 103), "getrandom": (318, 278), "getpid": (39, 172),
    "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "exit": (60, 93), "exit_group": (231, 94),
    "open": (2, None), "openat": (257, 56), "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79),
    "statx": (332, 291), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17), "pread64": (17, 67),
    "fadvise64": (221, 223), "fcntl": (72, 25), "dup": (32, 23), "uname": (63, 160), "sysinfo": (99, 179),
    "sched_getaffinity": (204, 123), "prctl": (157, 167), "capset": (126, 91), "ioctl": (16, 29),
    "clone3": (435, 435),
}  # fmt: skip

COMPUTING = tuple(_NUMBERS)[: tuple(_NUMBERS).index("open")]
READING = tuple(name for name in _NUMBERS if name not in ("ioctl", "clone3"))

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH of <linux/audit.h>
_KILL, _ALLOW, _ERROR = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000  # the same kernel's second table on x86_64
_WRITES = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000  # O_ACCMODE, O_CREAT, O_TRUNC, O_APPEND, O_TMPFILE
_FLAGS_OF = {"open": 1, "openat": 2}  # which argument has them
# Errors that a C library knows how to live with, where EPERM would surprise it.
_MILD = {"ioctl": errno.ENOTTY, "clone3": errno.ENOSYS}


def supported() -> bool:
    """Whether the system calls of this machine are known here."""
    return platform.machine() in _ARCHITECTURES


def filter_program(allowed: Iterable[str]) -> bytes:
    """A program for `PR_SET_SECCOMP`: struct sock_filter, eight bytes an instruction."""
    column, architecture = _ARCHITECTURES[platform.machine()]
    code = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL),
    ]
    code.append(_instruction(_LOAD, _NUMBER_AT))
    code += [_instruction(_AT_LEAST, _X32, 0, 1), _instruction(_RETURN, _KILL)]
    for name in allowed:
        number = _NUMBERS[name][column]
        if number is not None:
            code += _rule(number, _FLAGS_OF.get(name))
    for name, error in _MILD.items():
        number = _NUMBERS[name][column]
        code += [_instruction(_EQUAL, number or 0, 0, 1), _instruction(_RETURN, _ERROR | error)]
    code.append(_instruction(_RETURN, _ERROR | errno.EPERM))
    return b"".join(code)


def _rule(number: int, flags_argument: int | None) -> list[bytes]:
    """Allow the call; if one of its arguments has open flags, only without those that write."""
    if flags_argument is None:
        return [_instruction(_EQUAL, number, 0, 1), _instruction(_RETURN, _ALLOW)]
    return [
        _instruction(_EQUAL, number, 0, 4),
        _instruction(_LOAD, _ARGUMENTS_AT + 8 * flags_argument),
        _instruction(_ANY_BIT, _WRITES, 0, 1),
        _instruction(_RETURN, _ERROR | errno.EPERM),
        _instruction(_RETURN, _ALLOW),
    ]


def _instruction(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, operand)
