# ruff: noqa: E501
"""What counts as passed, failed, timeout and error, and what a program may use."""

import os
import subprocess
import sys
from textwrap import dedent

import pytest

from mixgrid.sandbox import Case, Verdict, open_sandbox
from mixgrid.sandbox.launch import Mode


def verdict_of(mode: Mode, program: str, check: str = "assert f(2) == 4", *, timeout_s: float = 5.0) -> Verdict:
    """The verdict on a program that defines `f`; `check` is the body of the check."""
    body = "".join(f"    {line}\n" for line in dedent(check).splitlines())
    case = Case(program=dedent(program), entry_point="f", check=f"def check(f):\n{body}", timeout_s=timeout_s)
    return open_sandbox(mode).check_all([case])[0]


DOUBLE = "def f(x): return 2 * x"


@pytest.mark.parametrize(
    ("program", "check", "outcome", "detail"),
    [
        (DOUBLE, "assert f(2) == 4", "passed", ""),
        (DOUBLE, "assert f(2) == 5", "failed", "AssertionError"),
        (DOUBLE, "assert f(2) + 'a'", "failed", "TypeError"),
        ("def f(x): return object()", "assert f(2) == 4", "failed", "a value that cannot be decoded"),
        ("def f(x): return object()", "assert f(2) != 4", "failed", "a value that cannot be decoded"),
        ("def f(x): return 1 / 0", "assert f(2) == 4", "error", "ZeroDivisionError"),
        ("def f(x): raise type('Own', (KeyError,), {})", "assert f(2) == 4", "error", "KeyError"),
        ("def f(x: return 2", "assert f(2) == 4", "error", "SyntaxError"),
        ("def f(x):\nreturn 2", "assert f(2) == 4", "error", "IndentationError"),
        ("1 / 0", "assert f(2) == 4", "error", "ZeroDivisionError"),
        ("", "assert f(2) == 4", "error", "NameError"),
        ("def f(x): return '\ud800'", "assert f(2) == 4", "error", "UnicodeError"),
        ("x = 1\n" * 100_000, "assert f(2) == 4", "error", "the program is too long"),
        ("def f(x): f(x)", "assert f(2) == 4", "error", "RecursionError"),
        ("import no_such_module", "assert f(2) == 4", "error", "ModuleNotFoundError"),
        ("from . import no_such_module", "assert f(2) == 4", "error", "ImportError"),
        ("import os\nos._exit(0)", "assert f(2) == 4", "error", "the program ended its process"),
        ("while True: pass", "assert f(2) == 4", "timeout", "over 0.5 s"),
        (DOUBLE, "while True: f(2)", "timeout", "over 0.5 s"),
        (DOUBLE, "import time; time.sleep(99)", "timeout", "over 0.5 s"),
        (DOUBLE, "import os; os._exit(0)", "error", "the check ended its process"),
        (DOUBLE, "x = [0]\nwhile True: x += x", "failed", "MemoryError"),
        (DOUBLE, "f(object())", "error", "the check passes an argument that cannot be encoded"),
    ],
)
def test_program_and_check_have_a_verdict(mode: Mode, program: str, check: str, outcome: str, detail: str) -> None:
    limit = 0.5 if outcome == "timeout" else 10.0
    assert verdict_of(mode, program, check, timeout_s=limit) == Verdict(outcome, detail)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("program", "check"),
    [
        ("def f(x): return (y for y in [x, 3])", "assert list(f(2)) == [2, 3]"),
        ("def f(x): return map(str, [x])", "assert tuple(f(2)) == ('2',)"),
        ("def f(x): return {x: {1.5, None}}, [b'a', 1j]", "assert f(2) == ({2: {1.5, None}}, [b'a', 1j])"),
        ("def f(x): return x is True", "assert f(True) is True and f(1) is False"),
        ("def f(x): return float('nan')", "assert f(2) != f(2)"),
        ("def f(*a, k=0): return [a, k]", "assert f(1, 2, k=3) == [(1, 2), 3]"),
        ("def f(x): raise ValueError", "try: f(2)\nexcept ValueError: return\nassert False"),
        ("def f(x):\n    class Own(KeyError): pass\n    raise Own", "try: f(2)\nexcept LookupError: return\nassert False"),
        ("def f(x): x.append(1); return x", "x = []\nassert f(x) == [1] and x == []"),
        ("def f(x): print(x); return x", "assert f(2) == 2"),
        ("def f(x): return __name__", "assert f(2) != '__main__'"),
        ("memo = {}\ndef f(x): memo[x] = 1; return len(memo)", "assert [f(1), f(2), f(3)] == [1, 2, 3]"),
        ("def g(x): return x + 1\ndef f(x): return g(x) * 2", "assert f(2) == g(g(1)) * 2"),
        ("import sys\nsys.setrecursionlimit(9999)\ndef f(x): return x and 1 + f(x - 1)", "assert f(5000) == 5000"),
        ("import xml.etree.ElementTree as e\ndef f(x): return e.fromstring('<a b=\"1\"/>').attrib", "assert f(2) == {'b': '1'}"),
        ("def f(x):\n    from collections import Counter\n    return Counter('aab')", "assert f(2) == {'a': 2, 'b': 1}"),
        ("from collections import Counter\ndef f(x): return Counter('aab').most_common(1)", "assert f(2) == [('a', 2)]"),
        ("from functools import singledispatch\n@singledispatch\ndef f(x): return x\n@f.register\ndef _(x: int): return 4", "assert f(2) == 4"),
        ("import warnings\ndef f(x): warnings.warn('a'); return 4", "assert f(2) == 4"),
        ("def f(x): import random, string; random.shuffle(x); return sorted(x)", "assert f([2, 1]) == [1, 2]"),
        ("m = __import__('bisect')\ndef f(x): return m.bisect([1, 3], x)", "assert f(2) == 1"),
        ("import codecs\ndef f(x): return codecs.encode('abc', 'rot13')", "assert f(2) == 'nop'"),
        ("from datetime import datetime as d\ndef f(x): return d.strptime('1', '%d').day", "assert f(2) == 1"),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    b: 'int' = 1\ndef f(x): return A().b", "assert f(2) == 1"),
        ("import hashlib, decimal, statistics, heapq\ndef f(x): return hashlib.md5(b'').hexdigest()[:4]", "assert f(2) == 'd41d'"),
    ],
)  # fmt: skip
def test_program_may_do_this(mode: Mode, program: str, check: str) -> None:
    assert verdict_of(mode, program, check) == Verdict("passed", "")


def test_helper_that_the_check_defines_is_not_the_program_s_to_change(mode: Mode) -> None:
    program = "def encode(x): return x\ndef f(x): return x"
    check = "assert f(encode('ab')) == 'ab'"
    assert verdict_of(mode, program, check).outcome == "passed"
    case = Case(program=program, entry_point="f", check=f"def encode(x): return x[::-1]\ndef check(f): {check}")
    assert open_sandbox(mode).check_all([case])[0].outcome == "failed"


def test_random_numbers_and_the_order_of_sets_are_the_same_in_every_run(mode: Mode) -> None:
    program = "import random\ndef f(x): return [random.random(), list({'a', 'b', 'c', 'd', 'e'})]"
    case = Case(
        program=program,
        entry_point="f",
        check="def check(f):\n    import random\n    assert hash(str(f(1)) + str(random.random())) % 2",
    )
    verdicts = open_sandbox(mode).check_all([case] * 12)
    assert len(set(verdicts)) == 1


def test_busy_machine_changes_no_verdict(mode: Mode) -> None:
    """Six processes on each core: 0.6 s of work take several, and still pass under a limit of 1.5 s."""
    program = "import time\ndef f(x):\n    while time.process_time() < 0.6: pass\n    return 4"
    # each in a session of its own, as the kernel shares cores between sessions first
    command, number = [sys.executable, "-c", "while True: pass"], 5 * len(os.sched_getaffinity(0))
    burners = [subprocess.Popen(command, start_new_session=True) for _ in range(number)]
    try:
        assert verdict_of(mode, program, timeout_s=1.5) == Verdict("passed", "")
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
