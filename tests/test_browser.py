"""The report in a real browser: headless Chromium draws it, and has nothing to complain about."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import QUIET, Browser

from mixgrid.evidence import Evidence
from mixgrid.law import fit_study, recommend
from mixgrid.paper import paper_rows
from mixgrid.report import render_report
from mixgrid.representation.panels import HiddenStates, Panel
from mixgrid.weighing import weigh_all

pytestmark = pytest.mark.server


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report of one row a strategy, with names that would like to be markup."""
    rows = [
        {
            "model": "nano", "seed": 0, "experiments": ["rq1"], "strategy": "single", "proportion": k,
            "proportions": [{"math": k}], "ability": "math", "benchmark": "lab.math", "score": score, "n": 100,
            "low": score - 0.05, "high": score + 0.05, "key": f"{i:064x}",
        }
        for i, (k, score) in enumerate([("1", 0.8125), ("1/4", 0.4375)])
    ]  # fmt: skip
    html = render_report(
        study="browser", question="<script>document.title = 'x'</script>?", rows=rows, complete=True,
        hidden_states=hidden_states(),
    )  # fmt: skip
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


def hidden_states() -> HiddenStates:
    """Two panels: in the second, of twelve queries, each has its own source's beside it."""
    sources, points = [i // 4 for i in range(12)], [(float(i), float(i * i % 7)) for i in range(12)]
    far = [[(i + step) % 12 for step in (4, 8)] for i in range(12)]
    own = [[i // 4 * 4 + (i + step) % 4 for step in (1, 2)] for i in range(12)]
    panels = [
        Panel(
            model="nano", seed=seed, label=label, description="", is_base=seed is None, key=f"{number:064x}",
            sources=sources, points=points, neighbours=neighbours, items=list(range(12)), queries=["?"] * 12,
        )
        for number, (label, seed, neighbours) in enumerate([("base", None, far), ("DMT", 0, own)])
    ]  # fmt: skip
    names = ("math", "code", "<b onclick='x'>general</b>")
    return HiddenStates(layer=15, pooling="last", abilities=names, panels=panels)


def run(chromium: str, page: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [chromium, *QUIET, "--enable-logging=stderr", profile, *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_report_in_a_browser_keeps_its_numbers_and_runs_no_markup_of_others(chromium: str, page: Path) -> None:
    done = run(chromium, page, "--dump-dom")
    assert "0.8125" in done.stdout
    assert "0.4375" in done.stdout
    assert "<title>x</title>" not in done.stdout
    section = done.stdout.partition("<h2>Hidden states</h2>")[2].partition("</section>")[0]
    assert section.count("<svg") == 2
    assert "+100.0" in section  # no neighbour of the base's queries is of their source, and all of DMT's are
    assert "<b onclick" not in section
    assert "CONSOLE" not in done.stderr


@pytest.mark.parametrize("width", [390, 1280])
def test_report_in_a_browser_draws_something_at_phone_and_desktop_width(
    chromium: str, page: Path, width: int, tmp_path: Path
) -> None:
    picture = tmp_path / "page.png"
    run(chromium, page, f"--window-size={width},1400", f"--screenshot={picture}")
    assert len(picture.read_bytes()) > 20_000  # an empty page of this size has about 5 kB


def show(tab: Browser, page: Path, *, width: int, media: str = "") -> None:
    """Open a page at a width, on a screen or on paper."""
    tab.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    tab.send("Emulation.setEmulatedMedia", media=media)
    tab.open(page.as_uri())
    deadline = time.monotonic() + 30
    while tab.evaluate(f"location.href === {page.as_uri()!r} && document.readyState") != "complete":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def tab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One tab for the module."""
    with Browser(tmp_path_factory.mktemp("browser"), program=chromium) as browser:
        yield browser


@pytest.fixture(scope="module")
def full_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's smallest model with every section that its rows allow, and curves on the way."""
    rows = [row for row in paper_rows() if row["model"] == "llama-7b" and "filtered" not in row["key"]]
    curves = [
        {**row, "stage": stage, "at": "1/2", "key": f"{stage}{row['key']}"}
        for row in rows for stage in range(1, len(row["proportions"]) + 1)
    ]  # fmt: skip
    curves = [{**row, "proportions": row["proportions"][: row["stage"]]} for row in curves]
    laws = fit_study(rows, sizes={"math": 110142, "code": 20022, "general": 86060})
    html = render_report(
        study="paper", question="How are they affected?", rows=rows, complete=True, printed=rows, law=laws.document(),
        recommendation=recommend(laws), findings=weigh_all(Evidence(rows, specialised=("code", "math"))), curves=curves,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("full") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


NAMES_THAT_MEET = """[...document.querySelectorAll('svg')].flatMap(svg => {
    const boxes = [...svg.querySelectorAll('.name')].map(text => [text.textContent, text.getBoundingClientRect()]);
    return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([, q]) => p.left < q.right && q.left < p.right
        && p.top + 3 < q.bottom - 3 && q.top + 3 < p.bottom - 3).map(([b]) => a + ' and ' + b));
})"""


@pytest.mark.parametrize("width", [390, 1280])
def test_report_in_a_browser_scrolls_down_only_and_no_names_in_a_figure_meet(
    tab: Browser, full_page: Path, width: int
) -> None:
    show(tab, full_page, width=width)
    assert tab.evaluate("document.querySelectorAll('svg .name').length") > 20
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(NAMES_THAT_MEET) == []


def test_report_on_paper_cuts_no_table_off(tab: Browser, full_page: Path) -> None:
    show(tab, full_page, width=718, media="print")  # A4 less margins of a centimetre
    shown = "[...document.querySelectorAll('.scroll')].filter(table => table.checkVisibility())"
    wide = f"{shown}.filter(table => table.scrollWidth > table.clientWidth + 1)"
    assert tab.evaluate("document.querySelectorAll('section > .scroll').length") >= 4
    assert tab.evaluate(f"{wide}.map(t => t.getAttribute('aria-label'))") == []


def test_report_in_a_browser_opens_the_number_that_a_click_asks_for(tab: Browser, full_page: Path) -> None:
    show(tab, full_page, width=1280)
    for link in (".strategies td a", ".recommendation a", ".findings a", "svg a"):
        tab.evaluate(f"document.querySelector({link!r}).dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
        found = "decodeURIComponent(location.hash.slice(1))"
        assert tab.evaluate(f"document.getElementById({found}).checkVisibility()") is True
        tab.evaluate("history.replaceState(null, '', location.pathname)")
        tab.evaluate("document.querySelectorAll('details').forEach(details => { details.open = false })")
