"""Check programs that nobody has read, in a box that can neither see nor harm anything.

    case = Case(program="def add(a, b): return a + b", entry_point="add", check="def check(f): assert f(1, 2) == 3")
    open_sandbox().check_all([case])  ->  [Verdict(outcome="passed", detail="")]

The box gets the program and nothing else; the check runs outside against a stand-in (`checker.py`), so that there is no
verdict inside to forge. Modes: bubblewrap (namespaces), native (Landlock), and unsafe (no walls), which only a person
can choose. In the first two the program runs under a seccomp filter that leaves it memory and time.
"""

from mixgrid.sandbox.case import Case, Outcome, Verdict
from mixgrid.sandbox.modes import Sandbox, describe_sandbox, open_sandbox

__all__ = ["Case", "Outcome", "Sandbox", "Verdict", "describe_sandbox", "open_sandbox"]
