r"""Answers of competition mathematics: the one that a solution boxes, and whether two are the same.

    extract_boxed(r"so $x = \boxed{\frac{3}{4}}$.")       ->  r"\frac{3}{4}"
    same_answer("0.75", r"\frac34")                       ->  True
    same_answer(r"\{2, 1\}", r"\left\{1,2\right\}")       ->  True

Two answers are the same if they have one spelling (`math_text`, the rule of hendrycks/math), which is all that rule
asks. Beyond it, numbers are compared as exact rationals (0.75 is 3/4 and 1,000 is 1000, but 0.33 is not 1/3); tuples,
intervals and unions by their elements, with the same brackets; sets and bare lists in any order. What is equal only
by algebra (x + 1 and 1 + x) is not the same here either. Nothing is evaluated, so hostile text costs nothing.
"""

import re
from fractions import Fraction

from mixgrid.grading.math_text import LONGEST, closing, plain, slashed

_INTEGER = r"(?:\d{1,3}(?:,\d{3})++|\d++)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d*+)?|\.\d++)"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)(?:(?P<decimal>{_DECIMAL})|(?P<whole>\d++)?\\frac\{{(?P<top>[-+]?{_DECIMAL})\}}\{{(?P<under>[-+]?{_DECIMAL})\}})"
)
_OPENING, _CLOSING = ("(", "[", r"\{"), (")", "]", r"\}")
_DEEPEST, _MOST = 4, 50  # brackets in brackets, and elements; what has more is compared as text


def extract_boxed(text: str) -> str | None:
    r"""What the last `\boxed{}` or `\fbox{}` holds, or the word after one without braces; None if there is none."""
    start = max(text.rfind(r"\boxed"), text.rfind(r"\fbox"))
    if start < 0:
        return None
    start += len(r"\boxed") if text.startswith(r"\boxed", start) else len(r"\fbox")
    brace = re.compile(r"\s{0,9}\{").match(text, start)
    if not brace:
        word = re.compile(r"\s{0,9}([^\s${}]{1,99})").match(text, start)
        return word[1].rstrip(".,") or None if word else None
    end = closing(text, brace.end() - 1)
    return text[brace.end() : end].strip() or None if end >= 0 else None


def same_answer(given: str, reference: str) -> bool:
    """Whether two answers say the same; never raises, whatever the text."""
    if given.strip() == reference.strip():
        return True
    if max(len(given), len(reference)) > LONGEST:
        return False
    return _same(plain(given), plain(reference), _DEEPEST)


def _same(given: str, reference: str, depth: int) -> bool:
    given, reference = slashed(given), slashed(reference)
    if not given or given == reference:
        return bool(given)
    numbers = _number(given), _number(reference)
    if None not in numbers:
        return numbers[0] == numbers[1]
    if depth == 0:
        return False
    for split in (_split_union, _split_list):
        (one, ours), (other, theirs) = split(given), split(reference)
        if len(ours) == len(theirs) > 1 and one == other:
            return _all_same(ours, theirs, ordered=one[:1] in ("(", "["), depth=depth - 1)
    return False


def _number(text: str) -> Fraction | None:
    found = _NUMBER.fullmatch(text)
    if not found:
        return None
    sign = -1 if found["sign"] == "-" else 1
    if found["decimal"]:
        return sign * _fraction(found["decimal"])
    under = _fraction(found["under"])
    return sign * (int(found["whole"] or 0) + _fraction(found["top"]) / under) if under else None


def _fraction(decimal: str) -> Fraction:
    return Fraction(decimal.replace(",", "").rstrip("."))


def _split_union(text: str) -> tuple[str, list[str]]:
    return r"\cup", text.split(r"\cup")


def _split_list(text: str) -> tuple[str, list[str]]:
    """The brackets around a list (both, as in `(]`; none around a bare one), and its elements."""
    opening = next((bracket for bracket in _OPENING if text.startswith(bracket)), "")
    close = next((bracket for bracket in _CLOSING if text.endswith(bracket)), "")
    if opening and close:
        inner = _elements(text[len(opening) : -len(close)])
        if inner:
            return opening + close, inner
    return "", _elements(text) or [text]


def _elements(text: str) -> list[str] | None:
    """The parts between commas outside brackets; None if a bracket closes that never opened, as within `1,2),(3,4`."""
    elements, depth = [""], 0
    for mark in re.findall(r"\\?.", text, re.DOTALL):
        depth += (mark.lstrip("\\") in "([{") - (mark.lstrip("\\") in ")]}")
        if depth < 0:
            return None
        if mark == "," and depth == 0:
            elements.append("")
        else:
            elements[-1] += mark
    return elements


def _all_same(ours: list[str], theirs: list[str], *, ordered: bool, depth: int) -> bool:
    if len(ours) > _MOST:
        return False
    if ordered:
        return all(_same(one, other, depth) for one, other in zip(ours, theirs, strict=True))
    left = list(theirs)
    for one in ours:
        match = next((other for other in left if _same(one, other, depth)), None)
        if match is None:
            return False
        left.remove(match)
    return True
