"""From a model's answer to the program that is checked.

    program_of("Sure:\\n```python\\ndef f(x):\\n    return x + 1\\n\\nprint(f(1))\\n```", prompt=..., entry_point="f")
    ->  the prompt's imports and helpers, then "def f(x):\\n    return x + 1\\n"

An answer may be a whole function or the body that goes on from the prompt; in a fence, in prose, or alone; its first
indent lost, all of it moved, in tabs, or with Windows line ends. What the entry point needs is kept: definitions,
imports, constants. Top-level prints, asserts, `input()` and `__main__` are dropped. Nothing is executed.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import dedent, indent

from mixgrid.grading.code_blocks import UNREADABLE, Blocks, Reader, Statement, blocks_of, statement_of

_MARGIN = "    "
_STARTS = 40  # lines of prose before a body that are tried as its first line


@dataclass(frozen=True)
class _Wanted:
    prompt: str
    name: str
    helpers: frozenset[str]


def program_of(answer: str, *, prompt: str, entry_point: str, helpers: Iterable[str] = ()) -> str:
    """The program for one answer, which may be hostile; never raises for one.

    `prompt` ends where the body of `entry_point` begins. `helpers` are other functions of the answer that its check
    calls; what neither they nor the entry point need is dropped. An answer without the entry point gives prompt and
    answer as they are, which then do not compile, or do nothing.
    """
    blocks, reader, wanted = blocks_of(answer), Reader(), _Wanted(prompt, entry_point, frozenset(helpers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as "invalid escape sequence": the answer's business
        try:
            found = _find(blocks, wanted, reader)
        except UNREADABLE:
            found = []
        if not found:
            return prompt + blocks.unfenced
        return _assemble(found, preamble_of(prompt, entry_point))


def _find(blocks: Blocks, wanted: _Wanted, reader: Reader) -> list[Statement]:
    """The entry point and what it needs, in order, from the first place that has it; [] if there is none."""
    goes_on = blocks.leading.lstrip("\n").startswith(" ")  # as a body goes on from the prompt
    found = _body(blocks.leading, wanted, reader) if goes_on else []
    found = found or _function([reader.statements(block) for block in blocks.fenced], wanted)
    found = found or _function([reader.statements(blocks.unfenced)], wanted)
    for text in (blocks.leading, *blocks.fenced):
        found = found or _body(text, wanted, reader)
    lines = blocks.unfenced.split("\n")
    for start in range(1, min(len(lines), _STARTS)):
        found = found or _body("\n".join(lines[start:]), wanted, reader)
    return found


def _function(blocks: Sequence[list[Statement]], wanted: _Wanted) -> list[Statement]:
    """The first block that defines the entry point, by its last definition, with what it lacks from other blocks."""
    name = wanted.name
    entries = [(block, entry) for block in blocks for entry in block if name in entry.binds and _defines(entry)]
    if not entries:
        return []
    giving = [(b, e) for b, e in entries if _returns(e.node) or not _names(e.node)] or entries
    block = giving[0][0]
    *_, entry = (e for b, e in entries if b is block and (_names(e.node) or e is giving[0][1]))  # as Python has it
    own = [s for s in block if s is entry or not (name in s.binds and isinstance(s.node, ast.FunctionDef))]
    bound = frozenset[str]().union(*(s.binds for s in own))
    others = [s for other in blocks if other is not block for s in other if not s.binds & bound]
    return _needed([*others, *own], wanted)


def _body(text: str, wanted: _Wanted, reader: Reader) -> list[Statement]:
    """The prompt's function with `text` as its body, read in the way that takes in most of its lines."""
    prompt, name = wanted.prompt, wanted.name
    first, _, rest = text.lstrip("\n").partition("\n")
    moved = indent(dedent(text), _MARGIN)
    best: tuple[int, list[Statement]] = (0, [])
    for body in (text, "\n" + text, moved, f"{_MARGIN}{first.lstrip(' ')}\n{rest}"):
        lines = (prompt + body).split("\n")
        nodes, used = reader.prefix(lines)
        entry = next((node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == name), None)
        consumed = sum(map(bool, map(str.strip, lines[prompt.count("\n") : used])))
        if consumed > best[0] and entry is not None and _goes_on(entry, prompt.count("\n"), name):
            own = [n for n in nodes if n is entry or (n.lineno > entry.lineno and name not in _names(n))]
            best = (consumed, [statement_of(node, lines) for node in own])
    return _needed(best[1], wanted)


def _goes_on(entry: ast.FunctionDef, prompt_lines: int, name: str) -> bool:
    """Whether the function has statements of its own beyond the prompt, and not the whole function once more."""
    new = [node for node in entry.body if (node.end_lineno or 0) > prompt_lines]
    return any(map(_returns, new)) and not any(name in _names(node) for node in new)


def _needed(statements: Sequence[Statement], wanted: _Wanted) -> list[Statement]:
    """The statements that the entry point needs, directly or through others, in their order."""
    kept: set[int] = set()
    names = {wanted.name, *wanted.helpers}
    left = dict(enumerate(statements))
    while more := [i for i, s in left.items() if s.binds & names or _always(s.node)]:
        kept.update(i for i in more if not _dropped(left[i]))
        names.update(*(left.pop(i).reads for i in more if i in kept))
        left = {i: s for i, s in left.items() if i not in more}
    return [statements[i] for i in sorted(kept)] if any(wanted.name in statements[i].binds for i in kept) else []


def _dropped(statement: Statement) -> bool:
    """Whether it is no definition, and reads what only a script does."""
    return not isinstance(statement.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and bool(
        statement.reads & {"input", "__name__"}
    )


def _always(node: ast.stmt) -> bool:
    """A star import, a future import or a recursion limit: what needs it does not name it."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__" or any(alias.name == "*" for alias in node.names)
    call = node.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return call is not None and getattr(call.func, "attr", getattr(call.func, "id", "")) == "setrecursionlimit"


def _defines(statement: Statement) -> bool:
    return isinstance(statement.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign | ast.AnnAssign)


def _returns(node: ast.AST) -> bool:
    """Whether it gives a value; a function that does not is a stub, such as the prompt said again."""
    return any(isinstance(part, ast.Return | ast.Yield | ast.YieldFrom) for part in ast.walk(node))


def _names(node: ast.stmt) -> set[str]:
    return {node.name} if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else set()


def preamble_of(prompt: str, name: str) -> str:
    """What stands in the prompt before the entry point, and the imports inside it."""
    opening = re.search(rf"^(?:@.*\n)*(?:async +)?def +{re.escape(name)}\b", prompt, re.MULTILINE)
    before, own = (prompt[: opening.start()], prompt[opening.start() :]) if opening else ("", "")
    try:
        nodes = list(ast.walk(ast.parse(own)))
    except UNREADABLE:
        nodes = []
    inside = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return before + "".join(line + "\n" for line in inside)


def _assemble(statements: Sequence[Statement], preamble: str) -> str:
    """The program's text; `from __future__` comes first, as Python asks."""
    future = [s.source for s in statements if isinstance(s.node, ast.ImportFrom) and s.node.module == "__future__"]
    rest = [s.source for s in statements if s.source not in future]
    return "".join(f"{line}\n" for line in future) + preamble + "\n\n".join(rest) + "\n"
