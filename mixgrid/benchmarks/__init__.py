"""Benchmarks: prompts and a grader for an ability.

    load_benchmarks()["gsm8k"]  -> Benchmark(data="gsm8k_test", grade=..., headline="strict", max_new_tokens=512)

A benchmark with a grader lets the checkpoint answer prompts and grades each answer to named booleans, of which
`headline` is the score. One without measures the loss of held-out responses of an ability's own source.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mixgrid.registry import load_folder

Grader = Callable[[str, str], Mapping[str, bool]]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Prompts and a grader.

    `data` names the source whose rows are asked: its held-out rows where it has some, else all. None is the
    ability's own source. `grade(answer, reference)` gives named booleans; `grader_version` goes up when it changes.
    """

    name: str
    data: str | None
    grade: Grader | None
    grader_version: int = 1
    headline: str = "correct"
    max_new_tokens: int = 512
    higher_is_better: bool = True

    @property
    def generates(self) -> bool:
        """Whether answers are generated; the other kind measures a loss."""
        return self.grade is not None


def load_benchmarks() -> dict[str, Benchmark]:
    """All benchmarks by name."""
    return load_folder("mixgrid.benchmarks", "BENCHMARK")
