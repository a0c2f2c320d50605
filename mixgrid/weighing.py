"""Claims are weighed against a study's evidence: each part's effect with its interval, then the verdict.

    weigh_all(evidence)  ->  [Finding(name="scaling", verdict="contradicted", effects=(...), ...), ...]

One effect against the claim contradicts it, so that Holm's correction runs over all effects of a finding, at a
family-wise .05. A model supports it when all of its effects are for it: each may be tested by itself, since the chance
that all of them err is no larger (Berger 1982), and Holm's correction runs over the models. A model that is too noisy
to decide leaves the verdict to the others.
"""

import json
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace

from mixgrid.evidence import Evidence
from mixgrid.findings import Claim, Effect, Finding, Part, Verdict, load_claims
from mixgrid.result_cells import Cell, Measure
from mixgrid.statistics import Contrast, Sample, contrast, detectable_difference, holm

LEVEL = 0.05
ONE_SEED = "{0} of {1} effects rest on one training seed in some cell: the noise of training is not covered there."
UNPAIRED = "{0} of {1} effects take items as unpaired, as only rates are known: their intervals are rather too wide."
NO_SPREAD = "{0} of {1} effects have no interval, as the spread of their items is unknown: they decide nothing."


def weigh_all(evidence: Evidence) -> list[Finding]:
    """Every claim's finding, the paper's first."""
    return [weigh(claim, evidence) for claim in load_claims()]


def findings_json(findings: Sequence[Finding], *, study: str) -> str:
    """One JSON object; what it is for says `mixgrid.findings`."""
    document = {"study": study, "family_wise_level": LEVEL, "findings": [asdict(finding) for finding in findings]}
    return json.dumps(document, indent=1) + "\n"


def weigh(claim: Claim, evidence: Evidence) -> Finding:
    """One claim. A model of which the study has none of the parts is left out of it."""
    parts = list(claim.parts(evidence))
    effects = _judged([_effect(part, evidence) for part in parts if part.has_cells])
    lacking = [part for part in parts if not part.has_cells and part.ground in {e.ground for e in effects}]
    verdicts = _verdicts(effects, incomplete={part.ground for part in lacking})
    missing = tuple(_name(part.ground, part.measure.ability, part.words) for part in lacking)
    verdict = _verdict(verdicts.values())
    return Finding(
        name=claim.name, number=claim.number, claim=claim.words, verdict=verdict, verdicts=verdicts,
        effects=tuple(effects), missing=missing, notes=tuple(_notes(effects)),
        experiment=_what_would_decide(verdict, claim, effects, missing),
    )  # fmt: skip


def _effect(part: Part, evidence: Evidence) -> Effect:
    weights: dict[int, tuple[float, Cell]] = {}
    for weight, cell in part.terms:  # one cell may stand in several terms
        assert cell is not None
        weights[id(cell)] = (weights.get(id(cell), (0.0, cell))[0] + weight, cell)
    used = [(weight, cell) for weight, cell in weights.values() if weight]
    sign = -1.0 if part.measure.lower_is_better else 1.0
    samples = [_sample(sign * weight, cell, part.measure, evidence) for weight, cell in used]
    effect = Effect(
        ground=part.ground, ability=part.measure.ability, benchmark=part.measure.benchmark, unit=_unit(part.measure),
        words=part.words, cells=tuple(f"{weight:+.3g} {_cell_name(cell)}" for weight, cell in used),
        keys=tuple(min(score.key for score in cell.values[part.measure].scores) for _, cell in used),
        expects=part.expects, value=math.fsum(s.weight * sum(s.scores) / len(s.scores) for s in samples),
        seeds=min((len(s.scores) for s in samples), default=0), n=samples[0].n if samples else None,
    )  # fmt: skip
    found = contrast(samples) if samples else None
    return effect if found is None else _with_interval(effect, found)


def _cell_name(cell: Cell) -> str:
    """`lab.small: 1/8 math`, with the experiments where another recipe trains the same."""
    apart = f" [{', '.join(cell.experiments)}]" if cell.named_apart else ""
    return f"{cell.model}: {cell.description}{apart}"


def _with_interval(effect: Effect, found: Contrast) -> Effect:
    interval = found.interval()
    error = math.sqrt((found.low_error**2 + found.high_error**2) / 2)
    return replace(
        effect, low=interval.low, high=interval.high, p=found.p, n=found.n, seeds=found.seeds, paired=found.paired,
        detectable=detectable_difference(error, degrees=found.degrees),
    )  # fmt: skip


def _sample(weight: float, cell: Cell, measure: Measure, evidence: Evidence) -> Sample:
    value = cell.values[measure]
    items = [evidence.items(score.key) for score in value.scores]
    kept = [seed for seed in items if seed is not None]
    return Sample(
        weight=weight, cell=id(cell), measure=measure, scores=[score.score for score in value.scores],
        items=kept if len(kept) == len(items) else None, interval=value.items, n=value.n, is_rate=measure.is_rate,
    )  # fmt: skip


def _unit(measure: Measure) -> str:
    return "nats/token" if measure.lower_is_better else "rate" if measure.is_rate else "score"


def _judged(effects: Sequence[Effect]) -> list[Effect]:
    """The effects with p adjusted and a verdict each, in their order."""
    adjusted = iter(holm([effect.p for effect in effects if effect.p is not None]))
    return [effect if effect.p is None else _with_verdict(effect, next(adjusted)) for effect in effects]


def _with_verdict(effect: Effect, adjusted: float) -> Effect:
    assert effect.low is not None
    assert effect.high is not None
    assert effect.p is not None
    if effect.low <= 0 <= effect.high:
        return replace(effect, adjusted_p=adjusted)
    holds = (effect.low > 0) == (effect.expects == "above")
    return replace(effect, adjusted_p=adjusted, verdict="for" if holds else "against" if adjusted < LEVEL else "open")


def _verdicts(effects: Sequence[Effect], *, incomplete: set[str]) -> dict[str, Verdict]:
    """What each model says; one that lacks a part can contradict a claim, and not support it."""
    grounds = list(dict.fromkeys(effect.ground for effect in effects))
    supporting = dict(zip(grounds, holm([_support(effects, ground) for ground in grounds]), strict=True))
    verdicts: dict[str, Verdict] = {}
    for ground in grounds:
        if any(effect.verdict == "against" for effect in effects if effect.ground == ground):
            verdicts[ground] = "contradicted"
        else:
            supports = supporting[ground] < LEVEL and ground not in incomplete
            verdicts[ground] = "supported" if supports else "undecided"
    return verdicts


def _support(effects: Sequence[Effect], ground: str) -> float:
    """The p of "some part of the claim does not hold": that of the weakest part."""
    own = [effect for effect in effects if effect.ground == ground]
    return max(1.0 if effect.p is None or effect.verdict != "for" else effect.p for effect in own)


def _verdict(verdicts: Collection[Verdict]) -> Verdict:
    if not verdicts:
        return "not tested"
    if "contradicted" in verdicts:
        return "contradicted"
    return "supported" if "supported" in verdicts else "undecided"


def _what_would_decide(verdict: Verdict, claim: Claim, effects: Sequence[Effect], missing: Sequence[str]) -> str:
    if verdict == "not tested":
        return f"add to the study: {', '.join(claim.experiments)}"
    if verdict != "undecided":
        return ""
    words = [f"cells for {'; '.join(missing)} ({', '.join(claim.experiments)})"] if missing else []
    seen = [effect for effect in effects if effect.verdict == "open" and effect.detectable is not None]
    if seen:
        worst = max(seen, key=lambda effect: (effect.detectable or 0) / (abs(effect.value) or 1))
        words.append(
            f"more items or seeds: {len(seen)} of {len(effects)} effects are open, and"
            f" {_name(worst.ground, worst.ability, worst.words)} had to be {_size(worst)} to be seen"
        )
    if any(effect.p is None for effect in effects):
        words.append("the items of the scores without an interval")
    return " and ".join(words)


def _size(effect: Effect) -> str:
    detectable = effect.detectable or 0.0
    return f"{100 * detectable:.1f} points" if effect.unit == "rate" else f"{detectable:.2f}"


def _name(ground: str, ability: str, words: str) -> str:
    return f"{ground}, {ability}: {words}"


def _notes(effects: Sequence[Effect]) -> Iterable[str]:
    known = [effect for effect in effects if effect.p is not None]
    counts = [
        (ONE_SEED, sum(effect.seeds < 2 for effect in effects)),
        (UNPAIRED, sum(not effect.paired for effect in known)),
        (NO_SPREAD, len(effects) - len(known)),
    ]
    return [text.format(count, len(effects)) for text, count in counts if count]
