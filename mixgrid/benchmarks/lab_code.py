"""lab.code's grader: does the answer's function give what the reference's gives, on lists that tell them apart?

    "def f(a): return sum(y*2 for y in a if y > 0)"  against  "def f(xs):\n    return sum([x * 2 for x in xs if x > 0])"
    ->  {"correct": True}

The reference's own text, up to formatting and the names of its variables, is right without being run, and text that
defines no `f` is wrong without. What is left runs in the sandbox.
"""

import ast
import warnings
from collections.abc import Sequence

from mixgrid.benchmarks import Answered, Benchmark, Verdict
from mixgrid.grading import Grading

_MAXIMUM_CHARACTERS = 10_000
_LISTS: tuple[list[int], ...] = (
    [], [0], [1], [-1], [9], [10], [3, 3, 6], [2, -2, 4, -4, 12, -12], [1, -1, 3, -3, 15, -15], [7, 8, 9, 10, 11, -9],
    [30, 5, -6, 0, 18, 21, -27, 14, 14, 1],
)  # fmt: skip
_TIMEOUT_S = 2.0
_MOST_SEEN = 100_000
_seen: dict[tuple[str, str], bool] = {}
"""Answers that this process ran, against references: the checkpoints of a study make the same mistakes."""


def grade(answers: Sequence[Answered], grading: Grading) -> Sequence[Verdict]:
    """Whether each answer is right; it ends where a next user turn begins. Raises NoSandbox where none works."""
    from mixgrid.sandbox import Case

    texts = [answered.text.split("USER:")[0].strip() for answered in answers]
    pairs = [(text, answered.reference) for text, answered in zip(texts, answers, strict=True)]
    right = {pair: same_program(*pair) or _seen.get(pair, False) for pair in pairs}
    asked = [pair for pair, known in right.items() if not known and pair not in _seen and defines_f(pair[0])]
    cases = [
        Case(program=text, entry_point="f", check=check_of(reference), timeout_s=_TIMEOUT_S)
        for text, reference in asked
    ]
    verdicts = grading.sandbox().check_all(cases, progress=grading.progress)
    for pair, verdict in zip(asked, verdicts, strict=True):
        right[pair] = verdict.outcome == "passed"
        if verdict.outcome != "timeout" and len(_seen) < _MOST_SEEN:
            _seen[pair] = right[pair]
    return [{"correct": right[pair]} for pair in pairs]


def check_of(reference: str) -> str:
    """The check of an answer: equal results, of equal types, on every list."""
    return (
        f"{reference}\n\n\ndef check(candidate):\n    for xs in {list(_LISTS)!r}:\n"
        "        expected, given = f(list(xs)), candidate(list(xs))\n"
        "        assert type(given) is type(expected) and given == expected\n"
    )


def same_program(answer: str, reference: str) -> bool:
    """True if both are one program but for formatting and variables' names. Never raises for an answer."""
    found = _canonical_tree(answer)
    return found is not None and found == _canonical_tree(reference)


def defines_f(text: str) -> bool:
    """Whether it is a program that defines a function `f` at its top."""
    tree = _tree(text)
    return tree is not None and any(isinstance(node, ast.FunctionDef) and node.name == "f" for node in tree.body)


def _tree(source: str) -> ast.Module | None:
    if len(source) > _MAXIMUM_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "invalid escape sequence": the answer's business
            return ast.parse(source.strip())
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _canonical_tree(source: str) -> str | None:
    """The syntax tree as text, bound names as `#0`, `#1` (which no program can spell); None if it is no program."""
    tree = _tree(source)
    try:
        return None if tree is None else ast.dump(_Renamer(_bound_names(tree)).visit(tree))
    except RecursionError:
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


BENCHMARK = Benchmark(name="lab.code", data="lab.code", grade=grade, grader_version=2, max_new_tokens=40)
