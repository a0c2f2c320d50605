"""The report's findings: each claim with its verdict, and the effects behind it.

1  Specialised abilities keep improving ...        contradicted
   lab.small, general: alone, k = 1/64 minus ...   -62.8 points  -70.1 to -53.8   against   n 150, 1 seed
"""

from collections.abc import Sequence

from mixgrid.findings import KEPT, Effect, Finding, percent
from mixgrid.findings.ratio import HARDLY
from mixgrid.findings.scaling import EARLY, STEP
from mixgrid.findings.size import LITTLE
from mixgrid.report.tables import anchor_of
from mixgrid.report.text import escape
from mixgrid.statistics.power import POWER
from mixgrid.weighing import LEVEL

READING = (
    "Each claim is a list of effects, and each effect a sum of scores that the claim says is above 0, or below it."
    " Intervals are at 95 %, over items and, where there are several, training seeds. One effect against a claim"
    " contradicts it (with Holm’s correction over all of its effects); it is supported if all effects of a model are"
    " for it. Effects of a loss are signed so that above 0 is better. Under an effect stand the cells that it is the"
    " sum of, each with its weight and a link to its number."
)
THRESHOLDS = (
    f"An effect is for or against a claim with p below {LEVEL:g}; otherwise it is open.",
    f"An ability is kept with {percent(KEPT)} or more of what its own source alone gives, and forgotten below that.",
    f"A specialised ability keeps improving if all of its data beats k = {STEP} of it.",
    f"A ratio hardly counts if the others’ data does less than {percent(HARDLY)} of what own data does.",
    f"A general ability comes early if k = {EARLY} of its data, or the largest k below that, keeps it.",
    f"The larger model has to be better above k = {LITTLE} only.",
    f"What “had to be so large to be seen” is the true effect that {POWER * 5:.0f} of 5 such studies would show.",
)
COLUMNS = (
    "claim", "model", "ability", "effect", "expected", "value", "95 %", "p (Holm)", "n", "seeds", "says", "cells",
)  # fmt: skip


def render_findings(findings: Sequence[Finding]) -> str:
    """A table of verdicts, and one of all effects to be opened; empty text without findings."""
    if not findings:
        return ""
    columns = ("claim", "verdict", "it hangs on")
    verdicts = _table("Findings", columns, [_verdict_row(finding) for finding in findings], kind="plain stack")
    effects = [_effect_row(finding, effect) for finding in findings for effect in finding.effects]
    opened = f"<details><summary>Every effect ({len(effects)})</summary>{_table('Every effect', COLUMNS, effects)}"
    details = f"{opened}</details>" if effects else ""
    thresholds = "".join(f"<li>{escape(text)}</li>" for text in THRESHOLDS)
    words = f'<p>{READING} The thresholds:</p><ul class="notes">{thresholds}</ul>'
    return f'<section class="findings"><h2>Findings</h2>{words}{verdicts}{details}</section>'


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
    lines = [f"{effect.ground}, {effect.ability}: {effect.words}", f"{_span(effect)}; {size}{seeds}"]
    cells = "".join(f"<small>{cell}</small>" for cell in _cells(effect))
    return f"<b>{escape(_number(effect, effect.value))}</b>{_small(lines)}{cells}"


def _cells(effect: Effect) -> list[str]:
    """The effect's cells, each a link to its number where its key is known."""
    links = [f'<a href="#{escape(anchor_of(key, effect.benchmark))}">' for key in effect.keys]
    if not links:
        return [escape(cell) for cell in effect.cells]
    return [f"{link}{escape(cell)}</a>" for link, cell in zip(links, effect.cells, strict=True)]


def _effect_row(finding: Finding, effect: Effect) -> str:
    p = "" if effect.adjusted_p is None else f"{effect.adjusted_p:.3f}"
    words = [finding.number, effect.ground, effect.ability, effect.words, f"{effect.expects} 0"]
    numbers = [_number(effect, effect.value), _span(effect), p, effect.n or "", effect.seeds, effect.verdict]
    cells = "".join(f"<td>{escape(text)}</td>" for text in words)
    cells += "".join(f'<td class="whole">{escape(text)}</td>' for text in numbers)
    return f"<tr>{cells}<td>{'; '.join(_cells(effect))}</td></tr>"


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


def _table(name: str, columns: Sequence[str], rows: Sequence[str], *, kind: str = "plain") -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    table = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{name}">{table}</div>'
