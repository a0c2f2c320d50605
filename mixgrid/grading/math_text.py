r"""LaTeX answers brought to one spelling, so that equal ones are equal texts.

    plain(r"$x = \dfrac12\text{ cm}$")  ->  r"\frac{1}{2}"
    plain(r"\left( 3,\, 5 \right]")     ->  "(3,5]"
    plain("50\\%")                      ->  "50"

The steps are those of `math_equivalence.py` in hendrycks/math (08e65fc): one \frac, no \left and \right, no units,
degrees, dollars or per cent, no spaces, no short left-hand side, braces around what \frac and \sqrt take, a/b as \frac.
On top of it: unicode signs, `{,}` and \! in thousands, units without \text, mixed numbers, `x \in`, `(A)` as A, a/b of
more than integers. Nothing is evaluated, and no text of more than `LONGEST` characters is read.
"""

import re

LONGEST = 1_000  # characters; the longest reference of MATH has about 160

_SIGNS = dict(
    zip("−–﹣－＋＝，．／（）：×·⋅÷∞π√∪∩≤≥≠±°′´", (
        *("-", "-", "-", "-", "+", "=", ",", ".", "/", "(", ")", ":"),
        *(r"\times ", r"\cdot ", r"\cdot ", "/", r"\infty ", r"\pi "),
        *(r"\sqrt ", r"\cup ", r"\cap ", r"\le ", r"\ge ", r"\ne ", r"\pm ", "", "'", "'"),
    ), strict=True)
)  # fmt: skip
_SPELLINGS = (
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right|displaystyle|textstyle|big|Big|bigg|Bigg|limits)(?![A-Za-z])\.?"), ""),
    (re.compile(r"(?<=\d)\{,\}(?=\d{3})|(?<=\d),?\\!,?(?=\d{3})"), ","),
    (re.compile(r"\^\{?\\circ\}?|\\degree(?![A-Za-z])|\\\$|\\%|(?<!\\)\\!|[$%]"), ""),
    (re.compile(r"(?<!\\)\\[ ,;:]|\\(?:quad|qquad|thinspace)(?![A-Za-z])|~"), " "),
    (re.compile(r"(?<=\d)\s+(\d+)\s*/\s*(\d+)$"), r"\\frac{\1}{\2}"),
    (re.compile(r"\*"), r"\\cdot "),
    (re.compile(r"\\(?:leq|geq|neq)(?![A-Za-z])"), lambda found: found[0][:-1]),
    (re.compile(r"\\(?:dots|ldots|cdots)(?![A-Za-z])"), "..."),
    (re.compile(r"\\(?:operatorname|text(?:bf|it|rm|normal)?|math(?:rm|bf|it)|mbox|textnormal)\{"), r"\\text{"),
)
_UNIT = (
    r"(?:square|sq\.?|cubic|cu\.?|per|hour|hr|minute|min|second|sec|day|week|month|year|inch(?:es)?|in|feet|foot|ft|yard"
    r"|mile|meter|metre|centimeter|kilometer|cm|mm|km|kg|gram|pound|lb|ounce|oz|liter|gallon|degree|radian|dollar|cent"
    r"|unit|point|people|percent|mph|times|ways?)s?"
)
_TEXT_UNIT = re.compile(r"(?<=[\w})])\s*\\text\{[^{}]*\}\s*(?:\^\{?\d\}?)?$")
_BARE_UNIT = re.compile(rf"(?<=[\d}}])\s+{_UNIT}(?:[\s/]+{_UNIT})*+\.?(?:\^\{{?\d\}}?)?$")
_WORDS = re.compile(r"\\text\{([^{}]*)\}")
_LEFT_HAND_SIDE = re.compile(r"\s*[A-Za-z](?:_\{?\w\}?)?(?:\([a-z]\))?\s*(?:=|\\in(?![A-Za-z]))\s*([^=]+)$")
_CHOICE = re.compile(r"\(([A-Z])\)")
_TOKEN = r"(\w|\\[A-Za-z]+)"
_FACTOR = r"(?:\w+|\d*\.\d+|\w*\\pi|\w*\\sqrt\{\w+\})"
_SLASH = re.compile(rf"([-+]?)({_FACTOR})/({_FACTOR})")


def plain(answer: str) -> str:
    """The one spelling; "" for what is too long to be an answer."""
    if len(answer) > LONGEST:
        return ""
    text = answer.strip(" \t\n*`").rstrip(".")
    for sign, latex in _SIGNS.items():
        text = text.replace(sign, latex)
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    if side := _LEFT_HAND_SIDE.match(text):
        text = side[1]
    text = _BARE_UNIT.sub("", _TEXT_UNIT.sub("", text.strip()))
    text = re.sub(r"\s+", "", _WORDS.sub(r"\1", text)).rstrip(".:;")
    if choice := _CHOICE.fullmatch(text):
        return choice[1]
    return re.sub(r"([\^_])\{(\w)\}", r"\1\2", _with_braces(text))


def slashed(text: str) -> str:
    r"""`-\pi/2` as `-\frac{\pi}{2}`, and a minus before its fraction."""
    if slash := _SLASH.fullmatch(text):
        text = f"{slash[1]}\\frac{{{slash[2]}}}{{{slash[3]}}}"
    return re.sub(r"^\\frac\{-((?:[^{}+-]|\{\w+\})+)\}", r"-\\frac{\1}", text)


def closing(text: str, start: int) -> int:
    """Where the brace at `start` is closed; -1 if it is not. An escaped brace is none."""
    depth = 0
    for found in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0 and found[0] == "}":
            return found.start()
    return -1


def _with_braces(text: str) -> str:
    r"""`\frac12` as `\frac{1}{2}`, `\sqrt2` as `\sqrt{2}`."""
    text = re.sub(rf"\\(frac|sqrt){_TOKEN}", r"\\\1{\2}", text)
    start = text.find(r"\frac{")
    while start >= 0:
        end = closing(text, start + 5)
        text = text[: end + 1] + re.sub(rf"\A{_TOKEN}", r"{\1}", text[end + 1 :])
        start = text.find(r"\frac{", start + 5)
    return text
