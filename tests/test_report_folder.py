"""The report's folder: the page of a study as `mixgrid report` writes it, in a browser, with what lies beside it."""

import random
import re
import time
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.command_line import main
from mixgrid.benchmarks import load_benchmarks
from mixgrid.cells import Selection
from mixgrid.plan import Plan, make_plan
from mixgrid.store import Store
from mixgrid.study_file import load_study

STUDY = """
name: wide
question: What does the page of a study show?
abilities:
  math:    {{source: lab.math,    benchmarks: [lab.math, response_loss]}}
  code:    {{source: lab.code,    benchmarks: [lab.code, response_loss]}}
  general: {{source: lab.general, benchmarks: [lab.general]}}
specialised: [code, math]
models: [{models}]
proportions: [{proportions}]
seeds: [{seeds}]
experiments: [rq1, rq2, rq3, {{name: rq4, evaluate_at: [{at}]}}, dmt]
recipe: {{epochs: 3, batch_size: 8, peak_learning_rate: 3.0e-3, warmup_ratio: 0.03, schedule: cosine}}
"""


class Links(HTMLParser):
    """What a page links to, and its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.links += [str(value) for name, value in attrs if name == "href"]
        self.ids |= {str(value) for name, value in attrs if name == "id"}


def scored(folder: Path, **axes: str) -> tuple[Plan, Path]:
    """A store with made-up items for every score of a study, and nothing else."""
    file = folder / "wide.yaml"
    file.write_text(STUDY.format(**axes))
    store = Store(str(folder / "store"))
    plan = make_plan(load_study(str(file)).study, selection=Selection(), lock={}, store=store)
    for names, step in zip(plan.names.scores, plan.scores, strict=True):
        stages = plan.names.checkpoints[names.checkpoint].proportions
        amount = sum(float(Fraction(stage.get(names.ability, "0"))) for stage in stages)
        rng, headline = random.Random(step.key), load_benchmarks()[names.benchmark].headline
        if names.benchmark == "response_loss":
            columns = {"nats": [rng.uniform(1, 2) / (0.1 + amount) for _ in range(50)], "tokens": [1] * 50}
            score = sum(columns["nats"]) / 50
        else:
            columns = {headline: [rng.random() < amount / (0.2 + amount) for _ in range(50)]}
            score = sum(columns[headline]) / 50
        with store.attempt(step) as attempt:
            pq.write_table(pa.table({"item": list(range(50)), **columns}), attempt.folder / "items.parquet")
            attempt.commit(ledger={"score": score, "n": 50, "low": 0.9 * score, "high": score + 0.1 * (score < 0.9)})
    return plan, file


def report(file: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    capsys.readouterr()
    assert main(["report", str(file), "--store", str(file.parent / "store")]) == 0
    return Path(capsys.readouterr().out.strip())


def test_report_of_an_unfinished_study_has_findings_and_every_link_leads_somewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, file = scored(tmp_path, models="lab.small", proportions="1, 1/4, 1/16", seeds="0", at="1/2")
    page = report(file, capsys)
    text = page.read_text(encoding="utf-8")
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == [
        "Recommendation", "Strategies", "Findings", "Score against amount", "Score against the ratio between sources",
        "Forgetting on the way", "The law", "Cost", "All numbers",
    ]  # fmt: skip
    found = Links(text)
    assert all(link[1:] in found.ids if link[0] == "#" else (page.parent / link).is_file() for link in found.links)
    items = {link for link in found.links if link.startswith("items/")}
    finals = {s.key for n, s in zip(plan.names.scores, plan.scores, strict=True) if not _on_the_way(plan, n.checkpoint)}
    assert items == {f"items/{key[:16]}.parquet" for key in finals}
    assert len(list(page.parent.glob("figure-*.svg"))) == text.count("<svg xmlns")


def _on_the_way(plan: Plan, checkpoint: int) -> bool:
    return plan.names.checkpoints[checkpoint].at is not None


def test_report_of_the_paper_shows_its_printed_numbers() -> None:
    from mixgrid.paper import paper_rows
    from mixgrid.report import render_report

    page = render_report(study="paper", question="?", rows=paper_rows(), complete=True, printed=paper_rows())
    own = page.count('<figure class="curves">')
    assert own
    assert 2 * page.count("as the paper printed it") == own


@pytest.mark.slow
def test_report_of_a_thousand_cells_and_five_benchmarks_takes_seconds_and_megabytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proportions = "1, 3/4, 1/2, 1/3, 1/4, 1/6, 1/8, 1/12, 1/16, 1/32, 1/64, 1/128"
    plan, file = scored(tmp_path, models="lab.small, lab.large", proportions=proportions, seeds="0, 1, 2, 3, 4", at="")
    assert len(plan.cells) >= 1000
    start = time.process_time()
    page = report(file, capsys)
    assert time.process_time() - start < 10
    assert page.stat().st_size < 5_000_000
