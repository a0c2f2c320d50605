"""Outside the box: run a problem's own `check` against a stand-in for the program, in a process of its own.

    def check(candidate): assert candidate(1, 2) == 3    ->  ["ready"], then ["passed", ""]

The check and its expectations never enter the box; arguments go in and builtin literals come out. A check that hangs or
eats memory costs only this process, which is killed. Names that the check uses without defining them (HumanEval/32,
/33, /38 and /50 call functions of their prompt) are the program's functions, called in the box in the same way: the
check decides which, not the program.
"""

from __future__ import annotations

import builtins
import os
import resource
import symtable
from collections.abc import Iterator

from mixgrid.sandbox.values import NotPlain, decode, encode, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:  # the module typing takes longer to load than all else here
    from typing import Any, NoReturn

_SEED = 0  # HumanEval/38, /50 and /53 draw their cases from unseeded `random`
RAISABLE = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type)
    and issubclass(kind, Exception)
    and not issubclass(kind, UnicodeError | BaseExceptionGroup)
} | {"UnicodeError": UnicodeError}


class Settled(BaseException):
    """The verdict is settled, whatever the check still catches."""


class Box:
    """The far end of the box's two pipes. `verdict` is what settled the case, `raised` the program's last exception."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers
        self.verdict: tuple[str, str] | None = None
        self.raised: BaseException | None = None

    def start(self, boot: bytes) -> list[Any]:
        """Send the box its own code; what it says once it is confined. Nothing of the program is in it yet."""
        try:
            while boot:
                boot = boot[os.write(self._requests, boot) :]
            return list(receive(self._answers))
        except (EOFError, BrokenPipeError):
            return ["cannot start", "it ended before it was up"]

    def ask(self, message: list[Any]) -> list[Any]:
        """The answer to one request. Raises Settled if the box has died or speaks nonsense."""
        if self.verdict is not None:
            raise Settled
        try:
            send(self._requests, message)
            answer = receive(self._answers)
        except (EOFError, BrokenPipeError):
            self.settle("error", "the program ended its process")
        except NotPlain:
            self.settle("failed", "a value that cannot be decoded")
        if not isinstance(answer, list) or not answer:
            self.settle("failed", "a value that cannot be decoded")
        return answer

    def call(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call a function of the program. Raises the builtin exception that it raised, or Settled."""
        try:
            message = ["call", name, encode(list(arguments)), encode(keywords)]
        except NotPlain:
            self.settle("error", "the check passes an argument that cannot be encoded")
        answer = self.ask(message)
        if answer == ["missing"]:
            self.raised = NameError(f"name {name!r} is not defined by the program")
            raise self.raised
        if answer[0] == "raised":
            self.raised = self._exception(answer)
            raise self.raised
        try:
            (value,) = answer[1:]
            return decode(value)
        except (NotPlain, ValueError):
            self.settle("failed", "a value that cannot be decoded")

    def load(self, program: str) -> None:
        """Hand over the program. Raises Settled if it cannot be loaded."""
        answer = self.ask(["program", program])
        if answer != ["loaded"]:
            self.settle("error", type(self._exception(answer)).__name__)

    def settle(self, outcome: str, detail: str) -> NoReturn:
        """End the case with this verdict."""
        self.verdict = (outcome, detail)
        raise Settled

    def _exception(self, answer: list[Any]) -> BaseException:
        """The first builtin among the names of the exception's classes; text of the box's is never repeated."""
        name = next((name for name in answer[1:] if isinstance(name, str) and name in RAISABLE), None)
        if name is None:
            self.settle("error", "an exception that is no builtin Exception")
        return RAISABLE[name]()


def main(settings: dict[str, Any]) -> None:
    """Start the box, check the program, write the verdict.

    `settings`: requests and answers (descriptors), boot (the box's first frame), memory (bytes), cpu_s, and the case.
    """
    verdicts = os.dup(1)
    os.dup2(2, 0)
    os.dup2(2, 1)
    for kind, limit in ((resource.RLIMIT_AS, settings["memory"]), (resource.RLIMIT_CPU, settings["cpu_s"])):
        resource.setrlimit(kind, (limit, limit))
    box = Box(settings["requests"], settings["answers"])
    told = box.start(settings["boot"])
    send(verdicts, told)
    if told == ["ready"]:
        send(verdicts, judge(box, settings["program"], settings["entry_point"], settings["check"]))
    os._exit(0)


def judge(box: Box, program: str, entry_point: str, check: str) -> tuple[str, str]:
    """The outcome and its detail."""
    try:
        box.load(program)
        _run(box, entry_point, check)
    except Settled:
        pass
    except BaseException as error:  # noqa: BLE001 (whatever ends the check is a verdict)
        return box.verdict or _of_exception(box, error)
    return box.verdict or ("passed", "")


def _run(box: Box, entry_point: str, check: str) -> None:
    namespace: dict[str, Any] = {name: _stand_in(box, name) for name in {entry_point, *_free_names(check)}}
    namespace["__name__"] = "check"
    if "random" in check:
        import random

        random.seed(_SEED)
    exec(compile(check, "<check>", "exec", dont_inherit=True), namespace)
    namespace["check"](_stand_in(box, entry_point))  # which is not what the check may define under the same name


def _stand_in(box: Box, name: str) -> Any:
    def stand_in(*arguments: Any, **keywords: Any) -> Any:
        return box.call(name, arguments, keywords)

    stand_in.__name__ = name
    return stand_in


def _free_names(check: str) -> set[str]:
    """Global names that the check reads and neither it nor Python defines."""
    top = symtable.symtable(check, "<check>", "exec")
    defined = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used = {symbol.get_name() for table in _tables(top) for symbol in table.get_symbols() if _is_global(table, symbol)}
    return used - defined - set(dir(builtins))


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _is_global(table: symtable.SymbolTable, symbol: symtable.Symbol) -> bool:
    return symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module")


def _of_exception(box: Box, error: BaseException) -> tuple[str, str]:
    if error is box.raised:
        return "error", type(error).__name__
    known = type(error).__name__ if type(error).__name__ in RAISABLE else "an exception of the check's own"
    return "failed", known
