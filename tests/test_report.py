"""The report page, read as a browser and an XML parser read it."""

import hashlib
import re
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import pytest

from mixgrid.findings import Effect, Finding
from mixgrid.report import render_report

SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "line", "path", "circle", "polyline", "br", "rect"}


class Page(HTMLParser):
    """Text of every table cell and heading, all attributes, and whether tags nest."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.table: list[list[str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.table.append([])
        elif tag in ("td", "th"):
            self.table[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.table[-1][-1] += data + " "

    def row(self, start: str) -> list[str]:
        """The first table row whose first cell starts with `start`."""
        return next([" ".join(c.split()) for c in row] for row in self.table if row and row[0].startswith(start))


def row(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "model": "lab.small", "seed": 0, "experiments": ["rq1"], "strategy": "single", "proportion": "1",
        "proportions": [{"math": "1"}], "ability": "math", "benchmark": "lab.math",
        "score": 0.5, "n": 200, "low": 0.4314, "high": 0.5686,
    }  # fmt: skip
    made = plain | changes
    identity = repr([made["model"], made["seed"], made["proportions"]]).encode("utf-8", "replace")
    return {"key": hashlib.sha256(identity).hexdigest(), **made}


def render(rows: list[dict[str, Any]], **changes: Any) -> str:
    arguments: dict[str, Any] = {"study": "toy", "question": "Why?", "rows": rows, "complete": True}
    return render_report(**(arguments | changes))


def curve(strategy: str, experiment: str, scores: dict[str, float]) -> list[dict[str, Any]]:
    def stages(k: str) -> list[dict[str, str]]:
        mix = {"code": k, "math": k}
        return {"single": [{"math": k}], "multi_task": [mix], "dmt": [{"math": "1"}, {"general": "1", **mix}]}[strategy]

    named: dict[str, Any] = {"strategy": strategy, "experiments": [experiment]}
    return [
        row(**named, proportion=k, proportions=stages(k), score=s, low=s - 0.02, high=s + 0.02)
        for k, s in scores.items()
    ]


def test_report_every_score_is_on_the_page() -> None:
    rows = [row(seed=seed, score=score) for seed, score in enumerate([0.1234, 0.4321, 0.9876])]
    page = Page(render(rows))
    assert {"0.1234", "0.4321", "0.9876"} <= {cell.strip() for line in page.table for cell in line}


def test_report_three_seeds_show_mean_range_and_t_interval() -> None:
    page = Page(render([row(seed=seed, score=score) for seed, score in enumerate([0.2, 0.3, 0.4])]))
    assert page.row("math only")[1] == "30.0 43.1–56.9 3 seeds: 20.0–40.0"
    assert "5.2–54.8" in page.row("lab.small")  # .3 -+ 4.303 * .1 / sqrt(3)


def test_report_one_seed_shows_no_range_and_says_so() -> None:
    page = Page(render([row()]))
    assert page.row("math only")[1] == "50.0 43.1–56.9"
    assert "1 has one training seed only" in " ".join(page.texts)


def test_report_best_is_a_word_and_lower_loss_wins() -> None:
    loss = {"benchmark": "response_loss", "n": 50}
    rows = [row(score=0.9), row(strategy="sequential", proportions=[{"math": "1"}, {"general": "1"}], score=0.1)]
    rows += [row(**loss, score=1.5), row(**loss, strategy="sequential", proportions=rows[1]["proportions"], score=1.2)]
    page = Page(render(rows))
    single, sequential = page.row("math only"), page.row("sequential")
    assert ["best" in cell for cell in single] == [False, True, False]
    assert ["best" in cell for cell in sequential] == [False, False, True]


def test_report_column_of_zeros_has_no_best() -> None:
    rows = [row(score=0, seed=None, strategy="base", proportion=None, proportions=[], experiments=[]), row(score=0)]
    assert "best" not in " ".join(Page(render(rows)).row("math only"))


def test_report_same_loss_benchmark_of_two_abilities_stays_apart() -> None:
    rows = [row(benchmark="response_loss", ability=a, score=s) for a, s in (("math", 1.25), ("general", 2.75))]
    assert [cell.split()[0] for cell in Page(render(rows)).row("math only")[1:]] == ["1.250", "2.750"]


def test_report_checkpoint_named_twice_counts_once() -> None:
    rows = [row(experiments=["rq1"]), row(experiments=["rq4"])]
    page = Page(render(rows))
    assert "Every score (1)" in page.texts
    assert "rq1, rq4" in page.row("lab.small")


def test_report_control_with_same_stages_is_not_averaged_in() -> None:
    rows = [row(score=0.8), row(score=0.2, experiments=["matched_steps"], key="f" * 64)]
    page = Page(render(rows))
    assert page.row("math only [rq1]")[1].startswith("80.0")
    assert page.row("math only [matched_steps]")[1].startswith("20.0")


def test_report_key_is_shortened_to_sixteen_digits() -> None:
    page = Page(render([row(key="0123456789abcdef" + "e" * 48)]))
    assert page.row("lab.small") is not None
    assert "0123456789abcdef" in page.texts
    assert "0123456789abcdefe" not in "".join(page.texts)


def test_report_hostile_text_stays_text() -> None:
    bad = '</title></style><script>alert(1)</script><img src=x onerror="a" \'>&amp;\x00\u202e\ud800'
    rows = [row(model=bad, ability=bad, benchmark=bad, strategy=bad, experiments=[bad], proportions=[{bad: "1"}])]
    rows += [row(model=bad, ability=bad, benchmark=bad, experiments=[bad], proportions=[{bad: k}], proportion=k)
             for k in ("1", "1/4")]  # fmt: skip
    html = render(rows, study=bad, question=bad, notes=[bad], ledger=[{bad: bad}], complete=False)
    page = Page(html)
    assert page.open == []
    assert not {"script", "img"} & set(page.tags)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert not re.search("[\x00\u202e\ud800]", html)
    assert '</title></style><script>alert(1)</script><img src=x onerror="a" \'>&amp;' in "".join(page.texts)
    assert [ET.fromstring(svg) for svg in re.findall("<svg.*?</svg>", html)]


def test_report_long_text_is_cut_and_says_so() -> None:
    html = render([row()], notes=["&" * 1_000_000], ledger=[{"answer": "x" * 1_000_000}])
    assert len(html) < 200_000
    assert html.count("[cut here: 990,000 more characters]") == 2


def test_report_fetches_nothing() -> None:
    html = render(curve("single", "rq1", {"1": 0.8, "1/4": 0.5}))
    assert set(re.findall(r"https?:[^\"' ]*", html)) == {"http://www.w3.org/2000/svg"}
    assert not {"src", "srcset", "action"} & {name for name, _ in Page(html).attributes}
    assert all(str(value).startswith("#") for name, value in Page(html).attributes if name == "href")
    assert not re.search(r"@import|url\(", html)


def test_report_curves_are_told_apart_without_colour() -> None:
    rows = curve("single", "rq1", {"1": 0.8, "1/4": 0.5, "1/16": 0.2})
    rows += curve("multi_task", "rq2", {"1": 0.7, "1/4": 0.6}) + curve("dmt", "dmt", {"1": 0.75, "1/4": 0.7})
    svg = chart(render(rows))
    lines = svg.findall(f"{SVG}polyline")
    assert len({line.get("stroke-dasharray") for line in lines}) == len(lines) == 3
    assert {"single", "mixed", "DMT"} <= {text.text for text in svg.iter(f"{SVG}text")}


def test_report_curve_is_evenly_spaced_by_exponent_and_linear_in_score() -> None:
    svg = chart(render(curve("single", "rq1", {"1": 0.6, "1/4": 0.4, "1/16": 0.2})))
    line = svg.find(f"{SVG}polyline")
    assert line is not None
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in line.get("points", "").split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert x1 > x0
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y1 < y0


def test_report_curve_takes_neither_uneven_mixture_nor_other_source() -> None:
    rows = curve("single", "rq1", {"1": 0.8, "1/4": 0.5})
    rows += [row(strategy="multi_task", proportion="1/4", proportions=[{"math": "1/4", "general": "1"}], score=0.3)]
    rows += [row(proportion="1/16", proportions=[{"code": "1/16"}], score=0.1)]
    lines = chart(render(rows)).findall(f"{SVG}polyline")
    assert [len(line.get("points", "").split()) for line in lines] == [2]


def test_report_incomplete_says_so_only_then() -> None:
    assert "Scores are missing." in Page(render([row()], complete=False)).texts
    assert "Scores are missing." not in Page(render([row()])).texts


@pytest.mark.parametrize("complete", [True, False])
def test_report_without_rows_says_no_scores_yet(complete: bool) -> None:
    page = Page(render([], complete=complete))
    assert "There are no scores yet." in page.texts
    assert "table" not in page.tags


def test_report_row_without_score_is_listed_and_left_out_of_means() -> None:
    page = Page(render([row(score=0.5), row(seed=1, score=None, low=None, high=None, n=0)]))
    assert page.row("math only")[1] == "50.0 43.1–56.9"
    assert "1 row without a score is left out." in " ".join(page.texts)


def test_report_ledger_columns_are_the_keys_of_all_entries() -> None:
    page = Page(render([row()], ledger=[{"source": "lab.math", "kept": 30}, {"source": "lab.code", "rejected": 2}]))
    assert page.row("source") == ["source", "kept", "rejected"]
    assert page.row("lab.code") == ["lab.code", "", "2"]


def test_report_does_not_depend_on_order_of_dict_keys_or_time() -> None:
    rows = curve("single", "rq1", {"1": 0.8, "1/4": 0.5})
    assert render(rows) == render([dict(reversed(r.items())) for r in rows])


def test_report_thousand_cells_render_in_seconds() -> None:
    benchmarks = [("math", "lab.math"), ("code", "lab.code"), ("math", "response_loss"), ("code", "response_loss"),
                  ("general", "lab.general")]  # fmt: skip
    rows = [
        row(model=f"m{i % 2}", seed=i % 5, proportion=f"1/{1 + i // 10}", proportions=[{"math": f"1/{1 + i // 10}"}],
            ability=ability, benchmark=benchmark)
        for i in range(1000) for ability, benchmark in benchmarks
    ]  # fmt: skip
    start = time.process_time()
    page = render(rows)
    assert time.process_time() - start < 5
    assert "Every score (5000)" in page


def chart(html: str) -> ET.Element:
    """The first chart of the page."""
    return ET.fromstring(re.findall("<svg xmlns.*?</svg>", html)[0])


def test_findings_are_shown_with_verdict_effect_and_interval_and_text_that_stays_text() -> None:
    effect = Effect(
        ground="<b>model", ability="math", benchmark="lab.math", unit="rate", words="DMT minus alone",
        cells=("+1 <i>", "-1 y"), expects="above", value=-0.493, low=-0.62, high=-0.37, p=0.001, adjusted_p=0.002,
        n=150, seeds=3, verdict="against",
    )  # fmt: skip
    shown = Finding(
        name="dmt", number=7, claim="DMT keeps both.", verdict="contradicted", verdicts={"<b>model": "contradicted"},
        effects=(effect,), notes=("3 of 3",),
    )  # fmt: skip
    other = Finding(
        name="ratio", number=4, claim="The ratio hardly counts.", verdict="not tested", experiment="add rq3"
    )
    page = Page(render([row()], findings=[shown, other]))
    assert page.open == []
    row_of_7 = page.row("7. DMT keeps both.")
    assert row_of_7[1] == "contradicted 1 against"
    assert row_of_7[2].startswith(
        "-49.3 points <b>model, math: DMT minus alone -62.0 points to -37.0 points; n 150, 3 seeds"
    )
    assert "What would decide it: add rq3." in page.row("4. The ratio")[0]
    cells = [" ".join(c.split()) for c in next(r for r in page.table if r and r[0].strip() == "7")]
    assert cells[1] == "<b>model"
    assert cells[4:11] == ["above 0", "-49.3 points", "-62.0 points to -37.0 points", "0.002", "150", "3", "against"]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def on_the_way(stages: list[dict[str, str]], strategy: str) -> list[dict[str, Any]]:
    """A row half way through each stage."""
    return [
        row(strategy=strategy, proportions=stages[:n], stage=n, at="1/2", score=0.1 * n, key=digest(repr(stages[:n])))
        for n in range(1, len(stages) + 1)
    ]


def test_forgetting_curves_of_one_strategy_in_two_orders_are_two_lines_that_differ_without_colour() -> None:
    orders = [[{"code": "1"}, {"math": "1"}], [{"math": "1"}, {"code": "1"}]]
    ways = [(stages, "sequential") for stages in orders]
    ways += [([{"code": "1", "math": "1"}, {"general": "1", "math": k}], "dmt") for k in ("1/2", "1/4", "1/8")]
    rows = [row(strategy=strategy, proportions=stages, proportion="1") for stages, strategy in ways]
    html = render(rows, curves=[point for stages, strategy in ways for point in on_the_way(stages, strategy)])
    section = html[html.index("Forgetting on the way") :]
    svg = ET.fromstring(re.findall("<svg xmlns.*?</svg>", section)[0])
    lines, names = svg.findall(f"{SVG}polyline"), re.findall('<ul class="legend">(.*?)</ul>', section)[0]
    assert len(lines) == 5
    assert len({line.get("stroke-dasharray") for line in lines}) == 5
    assert len({marker.get("d") for marker in svg.iter(f"{SVG}path") if marker.get("transform")}) == 5
    assert "sequential: code → math" in names
    assert "sequential: math → code" in names


def test_forgetting_with_more_lines_than_styles_says_which_it_leaves_out() -> None:
    ways = [[{"math": f"1/{k}"}, {"general": "1"}] for k in range(2, 10)]
    rows = [row(strategy="dmt", proportions=stages, proportion=stages[0]["math"]) for stages in ways]
    html = render(rows, curves=[point for stages in ways for point in on_the_way(stages, "dmt")])
    assert re.search("Not drawn, to keep panels readable: (DMT, k = 1/[0-9](, )?){2}\\.", html)


def test_report_says_the_thresholds_of_findings_and_recommendation() -> None:
    recommendation = {"weights": {"math": 1.0}, "budget": None, "models": [
        {"model": "lab.small", "best": None, "reason": "too few cells"},
    ]}  # fmt: skip
    finding = Finding(name="dmt", number=7, claim="DMT keeps both.", verdict="not tested", experiment="add dmt")
    text = " ".join(Page(render([row()], recommendation=recommendation, findings=[finding])).texts)
    for threshold in ("85 %", "20 %", "p below 0.05", "4 of 5", "10%", "2,000 surfaces", "takes 8 cells with 3"):
        assert threshold in text
    assert "No recommendation: too few cells." in text
