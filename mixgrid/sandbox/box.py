"""Inside the box: load the program, answer calls of its functions, and know nothing else.

    <- ["program", "def add(a, b): return a + b"]        -> ["loaded"]
    <- ["call", "add", ["list", 1, 2], ["dict"]]         -> ["value", 3]
    <- ["call", "add", ["list", 1, null], ["dict"]]      -> ["raised", "TypeError", "Exception", ...]

Nobody outside believes a word of what comes back: a program that takes this process over can only answer what it
could have returned. It is loaded without the rest of mixgrid, by `launch.BOOT`.
"""

from __future__ import annotations

import os
import sys

from mixgrid.sandbox.confine import confine, limit_resources, seal
from mixgrid.sandbox.preload import preload
from mixgrid.sandbox.values import NotPlain, decode, encode, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:  # the module typing takes longer to load than all else here
    from typing import Any


def main(settings: dict[str, Any]) -> None:
    """Serve until the other side closes its pipe. `settings`: mode, memory (bytes), cpu_s, readable (paths)."""
    requests, answers = _own_pipes()
    os.environ.clear()
    try:
        limit_resources(memory=settings["memory"], cpu_s=settings["cpu_s"])
        if settings["mode"] != "unsafe":
            confine(landlock=settings["mode"] == "native", readable=settings["readable"])
    except (OSError, ValueError) as error:
        send(answers, ["cannot start", str(error)])
        return
    send(answers, ["ready"])
    program = receive(requests)[1]
    try:
        preload(program)
        if settings["mode"] != "unsafe":
            seal()
        namespace = _load(program)
    except BaseException as error:  # noqa: BLE001 (whatever the program raises is told)
        send(answers, _told(error))
    else:
        send(answers, ["loaded"])
        _serve(requests, answers, namespace)


def _own_pipes() -> tuple[int, int]:
    """Descriptors of the two pipes, moved away from standard input and output: what is printed goes nowhere."""
    os.closerange(3, 1024)  # bubblewrap leaves its own open, and what it reports to us must not be forged
    pipes = os.dup(0), os.dup(1)
    for standard in (0, 1):
        os.dup2(2, standard)
    return pipes


def _load(program: str) -> dict[str, Any]:
    module = type(sys)("program")  # not __main__; dataclasses look their module up
    sys.modules[module.__name__] = module
    if "random" in sys.modules:
        sys.modules["random"].seed(0)
    exec(compile(program, "<program>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _serve(requests: int, answers: int, namespace: dict[str, Any]) -> None:
    while True:
        try:
            _, name, arguments, keywords = receive(requests)
        except EOFError:
            os._exit(0)
        send_answer(answers, namespace, name, arguments, keywords)


def send_answer(answers: int, namespace: dict[str, Any], name: str, arguments: Any, keywords: Any) -> None:
    """One call and its answer; the value of an iterator is what it yields."""
    try:
        if name not in namespace:
            return send(answers, ["missing"])
        value = namespace[name](*decode(arguments), **decode(keywords))
        return send(answers, ["value", encode(value)])
    except (NotPlain, MemoryError):
        return send(answers, ["not plain"])
    except BaseException as error:  # noqa: BLE001 (whatever the program raises is told)
        return send(answers, _told(error))


def _told(error: BaseException) -> list[str]:
    return ["raised", *(base.__name__[:80] for base in type(error).__mro__[:20])]
