"""The command line from outside: what it prints, where, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.command_line import parser

ROOT = Path(__file__).parent.parent


def mixgrid(*arguments: object, cwd: Path = ROOT, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "flows.command_line", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, cwd=cwd, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_plan_of_the_paper_prints_the_contract_as_one_json_object(tmp_path: Path) -> None:
    options = ("--only", "rq1,rq2,rq3,rq4,dmt", "--models", "llama-7b", "--json", "--store", tmp_path / "store")
    plan = json.loads(mixgrid("plan", "paper", *options).stdout)
    assert (plan["cells"], plan["final_checkpoints"]) == (46, 38)
    assert plan["stages"] == {"naive": 54, "unique": 40}
    assert plan["steps"]["sft"] == {"unique": 40, "cached": 0, "to_run": 40}


def test_plan_with_options_from_the_environment_is_as_if_typed(tmp_path: Path) -> None:
    variables = {"MIXGRID_ONLY": "dmt", "MIXGRID_MODELS": "llama-7b", "MIXGRID_STORE": str(tmp_path)}
    assert json.loads(mixgrid("plan", "paper", "--json", **variables).stdout)["cells"] == 5


def test_plan_for_people_says_what_is_to_be_looked_up(tmp_path: Path) -> None:
    text = mixgrid("plan", "paper", "--models", "llama-7b", "--store", tmp_path).stdout
    assert "54 cells, 46 final checkpoints" in text  # 46 and 38, five ablations and three of equal amounts
    assert "huggyllama/llama-7b" in text
    assert "llama-13b" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "papre"), "no study 'papre'"),
        (("plan", "paper", "--only", "rq9"), "unknown experiment 'rq9'"),
        (("plan", "paper", "--models", "llama-8b"), "did you mean 'llama-7b'?"),
        (("plan", "paper", "--seeds", "7"), "unknown seed '7'"),
        (("plan", "paper", "--seeds", "x"), "give seeds such as 0,1"),
        (("run", "demo", "--workers", "0"), "give at least 1"),
        (("plan", "public_data"), "needs the environment variable MIXGRID_DATA"),
        (("export", "demo", "lab.small:dmt:1/4:0", "out"), "unknown cell"),
        (("grade", "gsm8k", "none.jsonl", "--data", "none.jsonl"), "none.jsonl"),
        (("run", "demo", "--runtime", "unsafe.yaml"), "unsafe_code: only a person can ask for it; give --unsafe-code"),
        (("run", "demo", "--route", "sft"), "give KIND=POOL such as sft=gpu"),
        (("run", "demo", "--route", "mix=gpu"), "--route, routes.mix.[key]: mix: Input should be 'base', 'sft', "),
        (("run", "demo", "--route", "sft=a b"), "--route, routes.sft: a b: a name has"),
    ],
)
def test_command_with_wrong_input_ends_with_status_2_and_no_traceback(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIXGRID_DATA", raising=False)
    (tmp_path / "unsafe.yaml").write_text("unsafe_code: true\n")
    done = mixgrid(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_run_of_a_study_that_needs_data_nobody_has_says_where_to_get_it(tmp_path: Path) -> None:
    done = mixgrid("results", "paper", "--models", "llama-7b", "--format", "json", "--store", tmp_path)
    assert json.loads(done.stdout) == {"study": "paper", "rows": []}
    text = mixgrid("plan", "paper", "--models", "llama-7b", "--store", tmp_path).stdout
    assert "gsm8k_rft is on no hub: set `path` to your copy" in text


def test_grade_gsm8k_prints_both_verdicts_in_the_order_of_the_answers(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(
        '{"question": "a", "answer": "#### 18"}\n{"question": "b", "answer": "#### 3"}\n'
    )
    rows = [{"id": 1, "completion": "#### 3"}, {"id": 0, "completion": "it is 18"}, {"id": 1, "completion": "#### 4"}]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = mixgrid("grade", "gsm8k", tmp_path / "answers.jsonl", "--data", tmp_path / "test.jsonl")
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"id": 1, "strict": True, "flexible": True},
        {"id": 0, "strict": False, "flexible": True},
        {"id": 1, "strict": False, "flexible": False},
    ]


def test_grade_humaneval_prints_a_verdict_a_row_and_pass_at_k(tmp_path: Path) -> None:
    problem = {"task_id": "mine/7", "prompt": "def half(x):\n", "entry_point": "half"}
    check = "def check(candidate):\n    assert candidate(4) == 2\n"
    (tmp_path / "data.jsonl").write_text(json.dumps(problem | {"test": check}) + "\n")
    bodies = ["    return x // 2", "    return x", "    while True: pass", "    return x +", "    raise ValueError"]
    rows = [{"task_id": "mine/7", "completion": body} for body in bodies]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = mixgrid("grade", "humaneval", tmp_path / "answers.jsonl", "--data", tmp_path / "data.jsonl")
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["verdict"] for row in verdicts] == ["passed", "failed", "timeout", "error", "error"]
    assert {row["task_id"] for row in verdicts} == {"mine/7"}
    assert "pass@1 0.200, pass@5 1.000 over 1 problems; sandbox: " in done.stderr


def test_environment_cannot_ask_for_unsafe_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXGRID_UNSAFE_CODE", "1")
    assert parser().parse_args(["run", "demo"]).unsafe_code is False
    assert parser().parse_args(["run", "demo", "--unsafe-code"]).unsafe_code is True


def test_help_loads_neither_torch_nor_prefect() -> None:
    code = "import sys; from flows.command_line import parser; parser(); print({'torch', 'prefect'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "set()"


def test_report_without_scores_is_a_page_that_says_so(tmp_path: Path) -> None:
    done = mixgrid("report", "demo", "--store", tmp_path / "store")
    page = Path(done.stdout.strip()).read_text(encoding="utf-8")
    assert "0 of 564 scores" in done.stderr
    assert "no scores yet" in page.lower()


def test_plan_of_the_paper_says_what_it_costs_with_sharing_and_without(tmp_path: Path) -> None:
    options = ("--models", "llama-7b", "--hardware", "A100", "--price", "1.5", "--json", "--store", tmp_path / "store")
    cost = json.loads(mixgrid("plan", "paper", *options).stdout)["cost"]
    figures = cost["models"]["llama-7b"]
    assert (cost["device"], cost["price_an_hour"]) == ("A100", 1.5)
    assert figures["unique"]["tokens"] < figures["naive"]["tokens"]
    assert figures["unique"]["money"] == pytest.approx(1.5 * figures["unique"]["device_hours"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "demo", "--hardware", "H10"), "--hardware: unknown device 'H10'; did you mean 'H100'"),
        (
            ("compare", "demo:lab.small:dmt:1/3:0", "demo:lab.small:dmt:1/2:0"),
            "unknown cell 'lab.small:dmt:1/3:0'; did you mean",
        ),
        (("compare", "demo:lab.small:dmt:1/2:0", "demo"), "give two cells, or two studies"),
        (("recommend", "demo", "--budget", "much"), "--budget 'much'"),
        (("recommend", "demo"), "no scores yet"),
    ],
)
def test_command_about_knowledge_with_wrong_input_says_what_is_wrong(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = mixgrid(*arguments, "--store", tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
