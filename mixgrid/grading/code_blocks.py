"""Where the code stands in an answer, and the statements that can be read there.

    blocks_of("Sure:\\n```python\\ndef f(): ...\\n```\\nUse it.")
    ->  Blocks(leading="Sure:", fenced=("def f(): ...",), unfenced="Sure:\\ndef f(): ...\\nUse it.")

A fence may lack its end or its language, or stand in a list. Code is read by `ast` and never executed; a `Reader`
parses a bounded number of characters for one answer, whatever the answer is.
"""

import ast
import re
import symtable
from dataclasses import dataclass
from functools import cached_property
from textwrap import dedent

from mixgrid.grading.turns import own_turn

LONGEST = 1_000_000  # an answer is looked through to here for fences,
MAX_CHARACTERS = 20_000  # and each block is read to here; 4,096 tokens are about 16,000
PARSED_CHARACTERS = 300_000  # at worst about a second; a plain answer of 2,000 needs at most a tenth

# What a text can make Python's parser raise; UnicodeEncodeError is a ValueError.
UNREADABLE = (SyntaxError, ValueError, MemoryError, RecursionError)

_FENCE = re.compile(r"[ ]*+(?:[-*+>]|\d{1,3}[.)])?[ ]*+(?:`{3,}+|~{3,}+)(?P<info>[^`\n]*+)$")
_GLUED = re.compile(r"(?<=[^`~\s])(?:`{3}|~{3})[ ]*$")  # a fence that closes at the end of the code's last line
_LEADING_SPACE = re.compile(r"^[ \t\u00a0]+", re.MULTILINE)
_OPENS = re.compile(
    r"[ ]*+(?:(?:async +)?def |class |import |from |@|(?:for|while|with|if) .*:|try:"
    r"|[^\W\d][^=\n]{0,80}=[^=]|[^\W\d][\w.]{0,80}\()"
)


@dataclass(frozen=True)
class Blocks:
    """An answer's parts: the text before its first fence, what the fences hold, and all of it without fence lines."""

    leading: str
    fenced: tuple[str, ...]
    unfenced: str


@dataclass(frozen=True)
class Statement:
    """A top-level statement, its source, and the names that it binds or changes."""

    node: ast.stmt
    source: str
    binds: frozenset[str]

    @cached_property
    def reads(self) -> frozenset[str]:
        """The global names that it reads, in its functions too."""
        try:
            tables = [symtable.symtable(self.source, "answer", "exec")]
        except UNREADABLE:
            return frozenset()
        names: set[str] = set()
        while tables:
            table = tables.pop()
            tables += table.get_children()
            top = table.get_type() == "module"
            names |= {s.get_name() for s in table.get_symbols() if s.is_global() or (top and s.is_referenced())}
        return frozenset(names)


def blocks_of(answer: str) -> Blocks:
    """Split the model's own turn, with `\\n` as line end and no tabs before code."""
    _, thought, said = answer.partition("</think>")
    text = own_turn(said if thought and said.strip() else answer)[:LONGEST]
    text = text.encode(errors="replace").decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = _LEADING_SPACE.sub(lambda space: space[0].replace("\u00a0", " ").expandtabs(4), text)[:LONGEST]
    leading: list[str] = []
    fenced: list[list[str]] = []
    inside, everything = False, list[str]()
    for line in text.split("\n"):
        if fence := _FENCE.match(line):
            inside = bool(fence["info"].strip()) or not inside  # a fence with a language never closes one
            fenced += [[]] if inside or not fenced else []
            continue
        glued = _GLUED.search(line) if inside else None
        line = line[: glued.start()] if glued else line
        everything.append(line)
        if inside:
            fenced[-1].append(line)
        elif not fenced:
            leading.append(line)
        inside = inside and not glued
    blocks = tuple(dedent("\n".join(block)[:MAX_CHARACTERS]) for block in fenced)
    return Blocks("\n".join(leading)[:MAX_CHARACTERS], blocks, "\n".join(everything)[:MAX_CHARACTERS])


class Reader:
    """Reads statements out of text that may be anything, within one budget of parsed characters."""

    def __init__(self) -> None:
        self._left = PARSED_CHARACTERS

    def prefix(self, lines: list[str]) -> tuple[list[ast.stmt], int]:
        """The statements of the longest beginning that is Python, and its number of lines."""
        end = len(lines)
        while end > 0 and self._left > 0:
            text = "\n".join(lines[:end])
            self._left -= len(text) + 100
            try:
                return ast.parse(text).body, end
            except SyntaxError as error:
                end = min(end, error.lineno or end) - 1
            except UNREADABLE:
                break
        return [], 0

    def statements(self, text: str) -> list[Statement]:
        """Every statement that opens where code can open, prose left out; over-indented code is moved to the left."""
        lines, found, at = text.split("\n"), list[Statement](), 0
        while at < len(lines) and self._left > 0:
            used = 0
            if _OPENS.match(lines[at]):
                margin = len(lines[at]) - len(lines[at].lstrip(" "))
                code = _without_margin(lines[at:], margin)
                nodes, used = self.prefix(code)
                found += [statement_of(node, code) for node in nodes]
            at += max(used, 1)
        return found


def _without_margin(lines: list[str], margin: int) -> list[str]:
    """The lines that stand at `margin` or right of it, moved to the left; a line left of it ends them."""
    kept: list[str] = []
    for line in lines:
        if line.strip() and line[:margin].strip():
            break
        kept.append(line[margin:])
    return kept


def statement_of(node: ast.stmt, lines: list[str]) -> Statement:
    """A parsed statement, with its source out of the lines that it was parsed from."""
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    piece = lines[first - 1 : node.end_lineno]
    piece[-1] = piece[-1].encode()[: node.end_col_offset].decode()  # offsets are in bytes
    piece[0] = piece[0].encode()[node.col_offset :].decode() if first == node.lineno else piece[0]
    return Statement(node, "\n".join(piece), frozenset(_bound(node)))


def _bound(node: ast.stmt) -> set[str]:
    """Names that the statement binds at the top level, or whose object it changes (`memo[0] = 1`, `memo.append(1)`)."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    names: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            names |= _root(part.value.func) if isinstance(part.value.func, ast.Attribute) else set()
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            names |= _bound(part)
        elif isinstance(getattr(part, "ctx", None), ast.Store):
            names |= _root(part)
    return names


def _root(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()
