"""`mixgrid clean STUDY...`: show what none of the studies needs, and remove it when told.

12.5 GB  sft/llama-7b-s0-math_1-0123456789abcdef  checkpoints that nothing left to run needs
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from mixgrid.cells import Selection
from mixgrid.clean import Garbage, Item, find_garbage, other_studies, remove
from mixgrid.errors import InputError
from mixgrid.lock import read_lock
from mixgrid.plan import Plan, make_plan
from mixgrid.store import Store
from mixgrid.study_file import load_study


def clean(options: argparse.Namespace) -> int:
    """A dry run unless told `--yes`."""
    store = Store(options.store, warn=lambda message: print(message, file=sys.stderr))
    plans = [_whole_plan(study, store) for study in options.studies]
    forget = options.forget or ()
    others = [name for name in other_studies(store, [p.study.name for p in plans]) if name not in forget]
    if others and options.yes:
        raise InputError(
            f"store {options.store}: studies were run there that are not given: {', '.join(others)}; give their files "
            f"too, or --forget {','.join(others)} if their artifacts may go"
        )
    garbage = find_garbage(
        plans, store, keep=options.keep_checkpoints, older_than_s=options.older_than, forget=forget
    )  # fmt: skip
    gone = list(remove(garbage.found, store)) if options.yes else garbage.found
    for item in gone:
        print(f"{_size(item.size):>9}  {item.path}  {item.reason}")
    print(_summary(garbage, gone, removed=options.yes), file=sys.stderr)
    if others:
        print(f"artifacts of {', '.join(others)} are among these: give these studies too to keep them", file=sys.stderr)
    return 0


def _whole_plan(study: str, store: Store) -> Plan:
    """All of a study, looked up. Raises InputError where its keys are not known yet."""
    file = load_study(study)
    plan = make_plan(file.study, selection=Selection(), lock=read_lock(file, store), store=store)
    if plan.unpinned:
        raise InputError(
            f"study {study}: not looked up yet: {', '.join(plan.unpinned)}; what it needs is not known before its "
            "first run"
        )
    plan.look_up(store)
    return plan


def _summary(garbage: Garbage, gone: Sequence[Item], *, removed: bool) -> str:
    counts, sizes = Counter(item.reason for item in gone), Counter[str]()
    for item in gone:
        sizes[item.reason] += item.size
    lines = [f"{count:>6} {reason}: {_size(sizes[reason])}" for reason, count in counts.items()]
    total = f"{len(gone)} of them, {_size(sum(sizes.values()))}"
    if not gone:
        lines.append("nothing to remove")
    else:
        lines.append(f"removed {total}" if removed else f"nothing was removed; --yes removes {total}")
    locked = len(garbage.in_use) + len(garbage.found) - len(gone)
    if garbage.young or locked:
        lines.append(f"left alone: {len(garbage.young)} too young for --older-than, {locked} in use")
    return "\n".join(lines)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
