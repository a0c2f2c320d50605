"""Weigh the paper's claims against its own numbers: `python -m mixgrid.paper [--mt-bench-sd 2.5] [--json]`.

1 contradicted   Specialised abilities keep improving with their data; ...
    for      llama-7b, math: alone, k = 1 minus k = 1/4         +5.7 points [+1.9, +9.5]
"""

import argparse
import signal

from mixgrid.findings import Effect
from mixgrid.paper import paper_evidence
from mixgrid.weighing import findings_json, weigh_all


def main() -> None:
    """Print every finding with its effects."""
    options = argparse.ArgumentParser(prog="python -m mixgrid.paper", description=__doc__.partition(":")[0])
    options.add_argument("--mt-bench-sd", type=float, help="assume this spread of MT-Bench's questions, such as 2.5")
    options.add_argument("--json", action="store_true", help="one JSON object instead of text")
    chosen = options.parse_args()
    findings = weigh_all(paper_evidence(mt_bench_sd=chosen.mt_bench_sd))
    if chosen.json:
        print(findings_json(findings, study="paper"), end="")
        return
    for finding in findings:
        print(f"{finding.number} {finding.verdict}: {finding.claim}")
        for effect in finding.effects:
            print(f"    {effect.verdict:8} {effect.ground}, {effect.ability}: {effect.words:58} {_span(effect)}")


def _span(effect: Effect) -> str:
    scale, unit = (100, " points") if effect.unit == "rate" else (1, "")
    value = f"{scale * effect.value:+.2f}{unit}, expected {effect.expects} 0"
    if effect.low is None or effect.high is None:
        return f"{value}, interval unknown"
    return f"{value} [{scale * effect.low:+.2f}, {scale * effect.high:+.2f}]"


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
    main()
