"""lab.code's grader: the answer is the reference's program, up to formatting and the names of its variables.

    grade("def f(a): return sum([y*2 for y in a])", "def f(xs):\\n    return sum([x * 2 for x in xs])") -> True

Programs are compared as syntax trees. Nothing is executed, so an answer cannot do harm; another program that computes
the same counts as wrong.
"""

import ast
import warnings

from mixgrid.benchmarks import Benchmark
from mixgrid.grading import one_by_one

_MAXIMUM_CHARACTERS = 10_000


def grade(answer: str, reference: str) -> bool:
    """True if both are the same program; the answer ends where a next user turn begins. Never raises for an answer."""
    found = _canonical_tree(answer.split("USER:")[0])
    return found is not None and found == _canonical_tree(reference)


def _canonical_tree(source: str) -> str | None:
    """The syntax tree as text, bound names as `#0`, `#1` (which no program can spell); None if it is no program."""
    if len(source) > _MAXIMUM_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "invalid escape sequence": the answer's business
            tree = ast.parse(source.strip())
        return ast.dump(_Renamer(_bound_names(tree)).visit(tree))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _bound_names(tree: ast.AST) -> set[str]:
    """Parameters and assigned variables, which may be renamed; names that are only read, such as `sum`, may not."""
    nodes = list(ast.walk(tree))
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.arg for node in nodes if isinstance(node, ast.arg)}


class _Renamer(ast.NodeTransformer):
    """Replaces each bound name by its number in order of appearance."""

    def __init__(self, bound: set[str]) -> None:
        self._bound = bound
        self._numbers: dict[str, str] = {}

    def _renamed(self, name: str) -> str:
        return self._numbers.setdefault(name, f"#{len(self._numbers)}") if name in self._bound else name

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._renamed(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._renamed(node.arg)
        self.generic_visit(node)
        return node


BENCHMARK = Benchmark(
    name="lab.code",
    data="lab.code",
    grade=one_by_one(lambda answer, reference: {"correct": grade(answer, reference)}),
    max_new_tokens=40,
)
