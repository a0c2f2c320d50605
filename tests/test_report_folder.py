"""The report's folder: the page of a study as `mixgrid report` writes it, in a browser, with what lies beside it."""

import json
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
from mixgrid.artifact import Artifact
from mixgrid.benchmarks import load_benchmarks
from mixgrid.cells import Selection
from mixgrid.plan import Plan, make_plan
from mixgrid.report.contents import rewritten
from mixgrid.step import Step
from mixgrid.steps import Work
from mixgrid.steps.aggregate import make
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
    assert items == {f"items/{step.key[:16]}.parquet" for step in plan.scores}
    drawings = list(page.parent.glob("figure-*.svg"))
    assert len(drawings) == text.count("<svg xmlns")
    assert not any(Links(drawing.read_text(encoding="utf-8")).links for drawing in drawings)


def test_page_of_the_aggregate_links_its_tables_and_says_where_the_rest_is(tmp_path: Path) -> None:
    plan, _ = scored(tmp_path, models="lab.small", proportions="1, 1/4, 1/16", seeds="0", at="1/2")
    store = Store(str(tmp_path / "store"))
    for source in plan.sources.values():
        with store.attempt(source) as attempt:
            attempt.commit(ledger={"rows": 512})
    inputs = {name: [opened(store, step) for step in of] for name, of in inputs_of(plan.aggregate)}
    folder = tmp_path / "aggregate"
    folder.mkdir()
    make(Work(settings=plan.aggregate.settings, inputs=inputs, folder=folder))
    page = (folder / "report.html").read_text(encoding="utf-8")
    files = {link for link in Links(page).links if not link.startswith("#")}
    assert files == {path.name for path in folder.iterdir()} - {"report.html"}
    assert {"results.csv", "curves.parquet", "findings.json", "law.json"} < files
    assert "mixgrid report" in page[page.index("<h2>All numbers") :]


def inputs_of(step: Step) -> list[tuple[str, list[Step]]]:
    return [(name, [*given]) for name, given in step.inputs.items() if not isinstance(given, Step)]


def opened(store: Store, step: Step) -> Artifact:
    found = store.find(step)
    assert found is not None
    return store.open(found)


def test_report_leads_from_every_point_and_every_effect_to_its_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, file = scored(tmp_path, models="lab.small", proportions="1, 1/4, 1/16", seeds="0", at="1/2")
    text = report(file, capsys).read_text(encoding="utf-8")
    markers = re.findall(r"<svg xmlns.*?</svg>", text, re.DOTALL)
    points = sum(drawing.count("<polyline") and drawing.count('transform="translate') for drawing in markers)
    assert points
    assert points == sum(len(re.findall('<a href="#c[0-9a-f]{16}-', drawing)) for drawing in markers)
    findings = text[text.index("<h2>Findings") : text.index("<h2>Score against amount")]
    weights = re.findall(r"(?:<a href=\"#c[0-9a-f]{16}-[^>]*>)?[+-][0-9.]+ lab.small: ", findings)
    assert weights
    assert all(weight.startswith("<a") for weight in weights)


def test_report_that_has_become_smaller_leaves_nothing_of_the_larger_one_and_all_of_the_readers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, file = scored(tmp_path, models="lab.small", proportions="1, 1/4, 1/16", seeds="0", at="1/2")
    folder = report(file, capsys).parent
    own = {"notes.md", "figure-1-annotated.svg", "items/mine.txt"}
    for name in own:
        (folder / name).write_text("mine")
    before = _files(folder)
    assert main(["report", str(file), "--store", str(tmp_path / "store"), "--only", "rq1"]) == 0
    after = _files(folder)
    assert own < after < before
    assert "curves.csv" in before - after
    listed = set(json.loads((folder / "contents.json").read_text())["files"])
    assert after == listed | own | {"contents.json"}


@pytest.mark.parametrize("list_", ['{"files": ["../outside", "/outside", "items/../../outside", 7]}', "[]", "no json"])
def test_report_removes_nothing_outside_its_folder_whatever_its_list_says(tmp_path: Path, list_: str) -> None:
    store = Store(str(tmp_path))
    (tmp_path / "reports" / "demo").mkdir(parents=True)
    for place in (tmp_path / "outside", tmp_path / "reports" / "outside"):
        place.write_text("mine")
    (tmp_path / "reports" / "demo" / "contents.json").write_text(list_)
    with rewritten(store, "reports/demo", ["report.html"]):
        pass
    assert (tmp_path / "outside").exists()
    assert (tmp_path / "reports" / "outside").exists()


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_report_of_the_paper_shows_its_printed_numbers() -> None:
    from mixgrid.paper import paper_rows
    from mixgrid.report import render_report

    page = render_report(study="paper", question="?", rows=paper_rows(), complete=True, printed=paper_rows())
    pairs = page.split('<div class="panels pairs">')[1:]
    assert pairs
    for figure in pairs:
        drawn = figure.split("</figure>")[0]
        ticks = [set(re.findall(r'text-anchor="end">(.*?)<', panel)) for panel in drawn.split("<h4>")[1:]]
        titles = re.findall(r"<h4>(.*?)</h4>", drawn)
        assert [f"{title} <span>as the paper printed it</span>" for title in titles[::2]] == titles[1::2]
        assert ticks[::2] == ticks[1::2]  # one scale, so that the two can be compared


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
