"""`mixgrid grade`: verdicts for answers that were made elsewhere, a line each.

grade(options)  -> prints {"id": 0, "strict": true, "flexible": true}, or {"task_id": ..., "verdict": "passed"}
"""

import argparse
import json
import sys
from pathlib import Path

from mixgrid.errors import InputError, NoSandbox


def grade(options: argparse.Namespace) -> int:
    """Grade each line of the answers; 1 if they could not be graded here."""
    answers = _lines(options.answers)
    return _programs(answers, options) if options.benchmark == "humaneval" else _gsm8k(answers, options)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a JSONL file of answers") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line} is not UTF-8 text ({error.reason}); convert it first") from error


def _gsm8k(answers: list[str], options: argparse.Namespace) -> int:
    from mixgrid.grading.gsm8k_rows import grade_gsm8k_rows, read_gsm8k_data

    for verdict in grade_gsm8k_rows(answers, read_gsm8k_data(options.data)):
        print(json.dumps(verdict))
    return 0


def _programs(answers: list[str], options: argparse.Namespace) -> int:
    from mixgrid.grading.humaneval_rows import grade_humaneval_rows, read_humaneval_data, summary
    from mixgrid.sandbox import open_sandbox

    problems, sandbox = read_humaneval_data(options.data), None
    try:
        sandbox = open_sandbox("unsafe" if options.unsafe_code else "auto")
    except NoSandbox as error:
        print(f"NoSandbox: {error}", file=sys.stderr)
    verdicts = []
    for verdict in grade_humaneval_rows(answers, problems, sandbox=sandbox):
        print(json.dumps(verdict), flush=True)
        verdicts.append(verdict)
    if sandbox is None:
        return 1
    print(f"{summary(verdicts)}; sandbox: {sandbox.mode}", file=sys.stderr)
    return 0
