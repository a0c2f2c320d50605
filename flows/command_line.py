"""The command line, `mixgrid`: what a person types becomes a call. Prefect and torch load only where they are needed.

    mixgrid plan paper --only rq1,rq2 --models llama-7b --json

Data goes to standard output, everything else to standard error. Exit status: 0 done, 1 some step failed, 2 wrong input.
Every option can also be an environment variable: --store is MIXGRID_STORE.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from mixgrid.errors import InputError, MixgridError

DEFAULT_STORE = "runs"
UNSAFE = "where no sandbox works: run generated programs with nothing between them and this machine"
UNITS_S = {"": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
STUDY_COMMANDS = {
    "plan": "what would run, what is there already, and why the rest has to run",
    "run": "run it (embedded Prefect, local store, by default)",
    "status": "done, running, failed, missing",
    "results": "the table: one row a final checkpoint and benchmark",
    "report": "the HTML report's path, and what it cost against the estimate",
    "recommend": "which strategy and proportions to use, and what to run next",
    "export": "a checkpoint that transformers loads",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        return _commands()[options.command](options)
    except InputError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except MixgridError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, run again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _commands() -> dict[str, Callable[[argparse.Namespace], int]]:
    from flows import commands
    from flows.clean_store import clean
    from flows.compare_cells import compare
    from flows.grade_answers import grade
    from flows.recommend_cells import recommend

    return {
        "plan": commands.plan,
        "run": commands.run,
        "status": commands.status,
        "results": commands.results,
        "report": commands.report,
        "export": commands.export,
        "clean": clean,
        "recommend": recommend,
        "compare": compare,
        "grade": grade,
        "doctor": commands.doctor,
    }


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = argparse.ArgumentParser(
        prog="mixgrid", description="Studies of SFT data composition: run them, resume, read."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {}
    for name, text in STUDY_COMMANDS.items():
        made[name] = commands.add_parser(name, help=text, description=text)
        _study_options(made[name])
    made["plan"].add_argument("--json", action="store_true", help="one JSON object instead of text")
    for name in ("plan", "report"):
        made[name].add_argument("--hardware", help="the device to reckon with, such as H100 (the one used so far)")
        made[name].add_argument("--price", type=_amount, help="what an hour of one device costs")
    _recommend_options(made["recommend"])
    made["status"].add_argument("--json", action="store_true", help="one JSON object instead of text")
    made["status"].add_argument("--cells", action="store_true", help="one line a cell, with its checkpoint")
    made["results"].add_argument("--format", choices=("table", "json", "csv", "parquet"), default="table")
    made["results"].add_argument("--output", help="write to this file instead of standard output (needed for parquet)")
    made["export"].add_argument("cell", help="a cell's name, as `mixgrid status STUDY --cells` prints it")
    made["export"].add_argument("folder", help="a folder to write; it must not exist, or be empty")
    run = made["run"]
    run.add_argument("--workers", type=_positive, help="worker processes (default: cores)")
    run.add_argument("--threads", type=_positive, default=1, help="torch threads a worker (1)")
    run.add_argument("--runtime", metavar="FILE", help="YAML: processes, sharding, snapshots and the like of training")
    run.add_argument(
        "--route",
        metavar="KIND=POOL,...",
        type=_routes,
        help="run step kinds (base, sft, answer, represent) on Prefect work pools, such as sft=gpu,answer=gpu",
    )
    run.add_argument("--unsafe-code", action="store_true", help=UNSAFE)
    run.add_argument("--ui", action="store_true", help="serve the Prefect UI and print its address")
    clean = commands.add_parser("clean", help="remove what no study needs (a dry run unless told)")
    clean.add_argument("studies", nargs="+", metavar="STUDY", help="all studies of this store that are to be kept")
    clean.add_argument("--store", default=DEFAULT_STORE, help=f"folder or URL such as s3://bucket/x ({DEFAULT_STORE})")
    clean.add_argument("--yes", action="store_true", help="remove it, instead of only showing what would go")
    kept = "all of them, only the studies' final ones, or only what steps still to be run need (all)"
    clean.add_argument("--keep-checkpoints", choices=("all", "final", "needed"), default="all", help=kept)
    age = "leave alone what was written within this time, such as 12h, 7d, or 0 (1d)"
    clean.add_argument("--older-than", type=_seconds, default="1d", metavar="TIME", help=age)
    clean.add_argument("--forget", type=_names, help="names of studies that were run here and are not to be kept")
    compare = _compare_parser(commands)
    grade = commands.add_parser("grade", help="verdicts for answers made elsewhere, as JSONL")
    grade.add_argument("benchmark", choices=("gsm8k", "humaneval"))
    rows = 'JSONL of {"id": row number from 0, "completion": text}, for humaneval of {"task_id", "completion"}'
    grade.add_argument("answers", help=rows)
    grade.add_argument("--data", required=True, help="the benchmark's own data, such as test.jsonl or .jsonl.gz")
    grade.add_argument("--unsafe-code", action="store_true", help=UNSAFE)
    doctor = commands.add_parser("doctor", help="what works here, and what to do about what does not")
    doctor.add_argument("--verify", metavar="STUDY", help="check the SHA-256 of every file the study has in the store")
    _common_options(doctor)
    for command in (*made.values(), clean, compare, grade, doctor):
        _defaults_from_environment(command)
    return top


def _recommend_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights", help="what each ability counts, such as math=1,code=1,general=2 (1 each)")
    command.add_argument("--budget", help="at most so much an epoch, all stages together: 600, or 40000tokens")
    command.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _compare_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    command = commands.add_parser("compare", help="two cells or two studies, item by item")
    for name in ("first", "second"):
        command.add_argument(name, help="STUDY[@STORE][:CELL], such as demo:lab.small:dmt:1/2:0 or demo@runs")
    command.add_argument("--store", default=DEFAULT_STORE, help=f"where a side names no store ({DEFAULT_STORE})")
    command.add_argument("--items", action="store_true", help="list the items that differ")
    command.add_argument("--format", choices=("table", "json", "csv"), default="table")
    return command


def _defaults_from_environment(command: argparse.ArgumentParser) -> None:
    """MIXGRID_WORKERS=4 is --workers 4; a variable that is set but empty counts as not set."""
    for action in command._actions:
        value = os.environ.get(f"MIXGRID_{action.dest.upper()}")
        if not value or not action.option_strings or action.dest in ("help", "unsafe_code", "yes"):
            continue  # neither a sandbox nor data is given up by what happens to be in the environment
        if action.nargs == 0:
            command.set_defaults(**{action.dest: value.lower() not in ("0", "false", "no")})
        elif action.choices is not None and value not in action.choices:
            command.error(f"MIXGRID_{action.dest.upper()}: {value!r} is none of {', '.join(action.choices)}")
        else:
            action.required = False
            command.set_defaults(**{action.dest: value})


def _study_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", help="a built-in study (demo, paper, ...) or the path of a study file")
    _common_options(command)


def _common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store", default=DEFAULT_STORE, help=f"folder or URL such as s3://bucket/x ({DEFAULT_STORE})"
    )
    command.add_argument("--only", type=_names, help="experiments, such as rq1,dmt")
    command.add_argument("--models", type=_names, help="models, such as lab.small")
    command.add_argument("--seeds", type=_numbers, help="training seeds, such as 0,1")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() for part in _names(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers; give seeds such as 0,1")
    return tuple(int(part) for part in _names(text))


def _seconds(text: str) -> float:
    number, unit = text.rstrip("mhd"), text[len(text.rstrip("mhd")) :]
    if unit not in UNITS_S or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give one such as 30m, 12h or 7d")
    return int(number) * UNITS_S[unit]


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of money from 0 up; give one such as 2.5")
    return amount


def _routes(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in _names(text)]
    if not pairs or not all(kind and pool for kind, _, pool in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is no route; give KIND=POOL such as sft=gpu")
    return {kind: pool for kind, _, pool in pairs}


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 up; give at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
