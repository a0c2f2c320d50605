"""The report's findings: each claim with its verdict, and the effects behind it.

1  Specialised abilities keep improving ...        contradicted
   lab.small, general: alone, k = 1/64 minus ...   -62.8 points  -70.1 to -53.8   against   n 150, 1 seed
"""

from collections.abc import Sequence

from mixgrid.findings import Effect, Finding
from mixgrid.report.text import escape

READING = (
    "Each claim is a list of effects, and each effect a sum of scores that the claim says is above 0, or below it."
    " Intervals are at 95 %, over items and, where there are several, training seeds. One effect against a claim"
    " contradicts it (with Holm’s correction over all of its effects); it is supported if all effects of a model are"
    " for it. Effects of a loss are signed so that above 0 is better."
)
COLUMNS = (
    "claim", "model", "ability", "effect", "expected", "value", "95 %", "p (Holm)", "n", "seeds", "says", "cells",
)  # fmt: skip


def render_findings(findings: Sequence[Finding]) -> str:
    """A table of verdicts, and one of all effects to be opened; empty text without findings."""
    if not findings:
        return ""
    verdicts = _table("Findings", ("claim", "verdict", "it hangs on"), [_verdict_row(finding) for finding in findings])
    effects = [_effect_row(finding, effect) for finding in findings for effect in finding.effects]
    opened = f"<details><summary>Every effect ({len(effects)})</summary>{_table('Every effect', COLUMNS, effects)}"
    details = f"{opened}</details>" if effects else ""
    return f'<section class="findings"><h2>Findings</h2><p>{READING}</p>{verdicts}{details}</section>'


def _verdict_row(finding: Finding) -> str:
    remarks = [*finding.notes, *([f"What would decide it: {finding.experiment}."] if finding.experiment else [])]
    lines = [_counts(finding.effects)]
    if len(set(finding.verdicts.values())) > 1:
        lines += [f"{ground}: {verdict}" for ground, verdict in finding.verdicts.items()]
    claim = f"<td>{finding.number}. {escape(finding.claim)}{_small(remarks)}</td>"
    verdict = f"<td><b>{escape(finding.verdict)}</b>{_small(lines)}</td>"
    return f"<tr>{claim}{verdict}<td>{_deciding(finding)}</td></tr>"


def _deciding(finding: Finding) -> str:
    """The effect that decides, or comes nearest to it, with interval and cells."""
    effect = finding.deciding
    if effect is None:
        return ""
    size = f"n {effect.n:,}, " if effect.n else ""
    seeds = f"{effect.seeds} seed{'' if effect.seeds == 1 else 's'}"
    lines = [f"{effect.ground}, {effect.ability}: {effect.words}", f"{_span(effect)}; {size}{seeds}", *effect.cells]
    return f"{escape(_number(effect, effect.value))}{_small(lines)}"


def _effect_row(finding: Finding, effect: Effect) -> str:
    p = "" if effect.adjusted_p is None else f"{effect.adjusted_p:.3f}"
    texts = [finding.number, effect.ground, effect.ability, effect.words, f"{effect.expects} 0"]
    texts += [_number(effect, effect.value), _span(effect), p, effect.n or "", effect.seeds, effect.verdict]
    texts += ["; ".join(effect.cells)]
    return f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in texts)}</tr>"


def _counts(effects: Sequence[Effect]) -> str:
    counted = {says: sum(effect.verdict == says for effect in effects) for says in ("for", "against", "open")}
    return ", ".join(f"{count} {says}" for says, count in counted.items() if count)


def _number(effect: Effect, value: float) -> str:
    return f"{100 * value:+.1f} points" if effect.unit == "rate" else f"{value:+.3f}"


def _span(effect: Effect) -> str:
    if effect.low is None or effect.high is None:
        return "unknown"
    return f"{_number(effect, effect.low)} to {_number(effect, effect.high)}"


def _small(lines: Sequence[str]) -> str:
    return "".join(f"<small>{escape(line)}</small>" for line in lines if line)


def _table(name: str, columns: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{name}">{table}</div>'
