"""What the commands print for people: the plan, the status and the results as text.

study demo: 136 cells, 92 final checkpoints
step        different   there   to run
sft                94      40       54
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.results import Row


def plan_text(summary: dict[str, Any], reasons: dict[str, int]) -> str:
    """A plan's summary and the reasons of what has to run."""
    stages, examples = summary["stages"], summary["examples_per_epoch"]
    lines = [
        f"study {summary['study']}: {summary['cells']} cells, {summary['final_checkpoints']} final checkpoints",
        f"training stages: {stages['unique']} different, {stages['naive']} if no cell shared any",
        f"examples an epoch: {_count(examples['unique'])}, {_count(examples['naive'])} if no cell shared any",
        f"memory to train, without activations: {_memory(summary['training_bytes'])}",
        "",
        f"{'step':<10}{'different':>10}{'there':>8}{'to run':>8}",
        *(f"{k:<10}{c['unique']:>10}{c['cached']:>8}{c['to_run']:>8}" for k, c in summary["steps"].items()),
    ]
    if reasons:
        lines += ["", "why they run:", *(f"{count:>6} x {reason}" for reason, count in list(reasons.items())[:20])]
        if len(reasons) > 20:
            lines.append(f"       and {len(reasons) - 20} more reasons (--json has all)")
    if summary["unpinned"]:
        lines += ["", "to be looked up before the first run:", *(f"  {name}" for name in summary["unpinned"])]
    return "\n".join(lines)


def cost_text(cost: dict[str, Any]) -> str:
    """Training's tokens, FLOPs, hours and money by model: without sharing, with it, and what is still to run."""
    lines = [
        f"training on {cost['device']} ({cost['device_chosen']}) at {cost['price_an_hour']:g} an hour",
        f"{'model':<14}{'':<12}{'tokens':>10}{'FLOPs':>10}{'device-hours':>14}{'money':>12}",
    ]
    words = {"naive": "no sharing", "unique": "shared", "to_run": "to run"}
    for model, figures in cost["models"].items():
        lines += [f"{model:<14}{words[name]:<12}{_cost_figures(part)}" for name, part in figures.items()]
    lines += ["assumed:", *(f"  {line}" for line in cost["assumed"])] if cost["assumed"] else []
    return "\n".join(lines)


def actual_text(cost: dict[str, Any], actual: dict[str, dict[str, Any]]) -> str:
    """What training took against the estimate made without any measurement, and the other steps' hours."""
    lines = [
        f"cost on {cost['device']} at {cost['price_an_hour']:g} an hour",
        f"{'model':<14}{'':<12}{'tokens':>10}{'FLOPs':>10}{'device-hours':>14}{'money':>12}",
    ]
    for model, figures in cost["models"].items():
        took = actual[model]
        lines.append(f"{model:<14}{'estimate':<12}{_cost_figures(figures['unique'])}")
        lines.append(f"{'':<14}{'actual':<12}{_cost_figures(took)}   {took['trainings']} of {took['of']} trainings")
    rest = actual["rest"]
    lines.append(
        f"{'other steps':<26}{'':>20}{rest['device_hours']:>14.4g}{rest['money']:>12.4g}   {rest['steps']} steps"
    )
    return "\n".join(lines)


def _cost_figures(part: dict[str, float | None]) -> str:
    widths = {"tokens": 10, "flops": 10, "device_hours": 14, "money": 12}
    return "".join(f"{'unknown' if part[n] is None else format(part[n], '.3g'):>{w}}" for n, w in widths.items())


def status_text(counts: dict[str, Any]) -> str:
    """A study's status by step kind, and what failed."""
    scores = counts["scores"]
    header = "".join(f"{name:>9}" for name in ("done", "running", "failed", "missing"))
    lines = [
        f"study {counts['study']}: {scores['done']} of {scores['all']} scores",
        f"{'step':<10}{header}",
        *(f"{kind:<10}" + "".join(f"{n:>9}" for n in states.values()) for kind, states in counts["steps"].items()),
        f"on work pools: {counts['pools']['working']} at work, {counts['pools']['queued']} waiting",
        "hours used / estimated: " + ", ".join(f"{kind} {_hours(h)}" for kind, h in counts["hours"].items()),
        *(f"failed: {failure['step']}: {failure['message']}" for failure in counts["failures"]),
    ]
    return "\n".join(lines)


def _hours(hours: dict[str, Any]) -> str:
    estimated = "?" if hours["estimated"] is None else f"{hours['estimated']:.2f}"
    return f"{hours['used']:.2f} / {estimated}"


def print_rows(rows: Sequence[Row]) -> None:
    """The results as a table on standard output; as wide as it needs to be where that is no terminal."""
    import sys

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "seed", "strategy", "mixture", "ability", "benchmark"):
        table.add_column(name)
    for name in ("score", "n", "95 % interval"):
        table.add_column(name, justify="right")
    for row in rows:
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]"
        seed = "" if row["seed"] is None else str(row["seed"])
        names = (row["model"], seed, row["strategy"], mixture_text(row), row["ability"], row["benchmark"])
        table.add_row(*names, f"{row['score']:.3f}", str(row["n"]), interval)
    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(table)


def mixture_text(row: Row) -> str:
    """Stages as text: `code+math > general+code/4+math/4`."""
    return " > ".join("+".join(_part(a, k) for a, k in stage.items()) for stage in row["proportions"])


def _part(ability: str, k: str) -> str:
    return ability if k == "1" else f"{ability}*{k}"


def _memory(sizes: dict[str, int | None]) -> str:
    """`lab.small 0.01 GiB`."""
    return ", ".join(
        f"{model} " + ("unknown before its base is there" if size is None else f"{size / 2**30:.2f} GiB")
        for model, size in sizes.items()
    )


def _count(value: int | None) -> str:
    return "unknown before the download" if value is None else f"{value:,}"
