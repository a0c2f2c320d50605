"""A study through real Prefect flows: each step once, a second time for free, failures kept apart."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mixgrid.models import folder_hash

pytestmark = pytest.mark.server
KEY = "?" * 16
MATH = f"llama-32x1-s0-lab.math_1-{KEY}"
Mixgrid = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def finished(server: str, mixgrid: Mixgrid, tiny_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study file and the store of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(tiny_text)
    done = run(mixgrid, folder, server)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished folder, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def run(mixgrid: Mixgrid, folder: Path, server: str) -> "subprocess.CompletedProcess[str]":
    return mixgrid("run", folder / "tiny.yaml", "--store", folder / "store", "--workers", 1, PREFECT_API_URL=server)


def task_runs(server: str) -> list[dict[str, Any]]:
    """The task runs of the newest flow run."""
    newest = httpx.post(f"{server}/flow_runs/filter", json={"sort": "START_TIME_DESC", "limit": 1}).json()[0]["id"]
    runs: list[dict[str, Any]] = []
    while True:
        body = {"flow_runs": {"id": {"any_": [newest]}}, "offset": len(runs), "limit": 200}
        page = httpx.post(f"{server}/task_runs/filter", json=body).json()
        runs += page
        if len(page) < 200:
            return runs


def wait_for_task_runs(server: str, count: int) -> list[dict[str, Any]]:
    """The server writes task runs down within seconds of the flow's end."""
    import time

    for _ in range(100):
        runs = task_runs(server)
        if len(runs) == count and all(r["state_type"] in ("COMPLETED", "FAILED") for r in runs):
            return runs
        time.sleep(0.2)
    return runs


def artifacts(folder: Path) -> set[str]:
    return {str(p.parent.relative_to(folder / "store")) for p in (folder / "store").glob("*/*/record.json")}


def made(before: "subprocess.CompletedProcess[str]") -> int:
    return int(before.stderr.split(" steps made")[0].split()[-1])


def test_run_of_a_new_study_makes_each_planned_step_once(finished: Path, server: str, mixgrid: Mixgrid) -> None:
    plan = json.loads(mixgrid("plan", finished / "tiny.yaml", "--store", finished / "store", "--json").stdout)
    kinds = Counter(path.split("/")[0] for path in artifacts(finished))
    assert kinds == {kind: counts["unique"] for kind, counts in plan["steps"].items() if counts["unique"]}
    assert all(counts["to_run"] == 0 for counts in plan["steps"].values())
    runs = wait_for_task_runs(server, sum(kinds.values()))
    assert Counter(r["name"] for r in runs).most_common(1)[0][1] == 1
    assert {"sft stage 1", "sft stage 2"} <= {r["name"][:11] for r in runs}
    assert all("sft" in r["tags"] for r in runs if r["name"].startswith("sft"))


def test_run_draws_the_edges_between_steps(finished: Path, server: str) -> None:
    runs = {r["id"]: r for r in wait_for_task_runs(server, len(artifacts(finished)))}
    stage_2 = next(r for r in runs.values() if r["name"].startswith("sft stage 2"))
    parents = {runs[i["id"]]["name"] for i in stage_2["task_inputs"]["inputs"] if i["input_type"] == "task_run"}
    assert any(name.startswith("sft stage 1") for name in parents)
    assert any(name.startswith("mix") for name in parents)


def test_results_of_a_finished_study_have_a_row_a_checkpoint_and_benchmark(finished: Path, mixgrid: Mixgrid) -> None:
    study = finished / "tiny.yaml"
    out = json.loads(mixgrid("results", study, "--store", finished / "store", "--format", "json").stdout)
    assert out["study"] == "tiny"
    assert len(out["rows"]) == (1 + 6) * 3  # the base and: math, general, multi-task, sequential, DMT at two k
    strategies = Counter(row["strategy"] for row in out["rows"])
    assert strategies == {"base": 3, "single": 6, "multi_task": 3, "sequential": 3, "dmt": 6}
    row = next(r for r in out["rows"] if r["strategy"] == "dmt" and r["proportion"] == "1/4")
    assert row["proportions"] == [{"math": "1"}, {"general": "1", "math": "1/4"}]
    assert row["low"] <= row["score"] <= row["high"]


def test_second_run_makes_nothing_and_shows_cached(copy: Path, server: str, mixgrid: Mixgrid) -> None:
    done = run(mixgrid, copy, server)
    assert done.returncode == 0
    assert made(done) == 0
    runs = wait_for_task_runs(server, len(artifacts(copy)))
    assert {r["state_name"] for r in runs} == {"Cached"}


def test_run_after_losses_makes_exactly_what_is_needed(copy: Path, server: str, mixgrid: Mixgrid) -> None:
    store = copy / "store"
    shutil.rmtree(next(store.glob(f"score/lab.math-{MATH}")))  # needed: made again from kept answers
    shutil.rmtree(next(store.glob(f"sft/llama-32x1-s0-lab.general_1-{KEY}")))  # not needed: its scores are there
    (next(store.glob(f"answer/lab.general-llama-32x1-{KEY}")) / "record.json").write_text("{}")  # not needed either
    done = run(mixgrid, copy, server)
    assert done.returncode == 0
    assert made(done) == 1
    assert not list(store.glob(f"sft/llama-32x1-s0-lab.general_1-{KEY}/record.json"))


def test_run_that_meets_a_damaged_input_makes_it_again(copy: Path, server: str, mixgrid: Mixgrid) -> None:
    store = copy / "store"
    for path in [
        *store.glob(f"score/lab.math-{MATH}"),
        *store.glob(f"answer/lab.math-{MATH}"),
    ]:
        shutil.rmtree(path)
    weights = next(store.glob(f"sft/{MATH}/attempt-*/model.safetensors"))
    original = weights.read_bytes()
    weights.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    done = run(mixgrid, copy, server)
    assert done.returncode == 0, done.stderr
    assert "model.safetensors is not the file that was written" in done.stderr
    assert made(done) == 3
    again = next(p for p in store.glob(f"sft/{MATH}/attempt-*/model.safetensors") if p != weights)
    assert again.read_bytes() == original


def test_run_with_a_broken_model_fails_only_what_depends_on_it(
    finished: Path, server: str, mixgrid: Mixgrid, tiny_text: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "llama", "hidden_size": 8}')
    text = tiny_text.replace("models:\n", f"models:\n  - {{name: broken, path: {broken}}}\n")
    (tmp_path / "tiny.yaml").write_text(text)
    store = shutil.copytree(finished / "store", tmp_path / "store")
    for path in store.glob("score/lab.math-llama-32x1-*"):
        shutil.rmtree(path)
    done = run(mixgrid, tmp_path, server)
    assert done.returncode == 1
    assert "tokenizer model-" in done.stderr
    assert len(list(store.glob("score/lab.math-llama-32x1-*/record.json"))) == 7
    label = f"model-{folder_hash(str(broken))[:8]}"
    status = mixgrid("status", tmp_path / "tiny.yaml", "--store", store, "--json")
    assert [f["step"] for f in json.loads(status.stdout)["failures"]] == [f"tokenizer {label}"]


def test_export_of_a_cell_loads_in_transformers(finished: Path, mixgrid: Mixgrid, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    store = finished / "store"
    done = mixgrid("export", finished / "tiny.yaml", "nano:dmt:1/4:0", tmp_path / "out", "--store", store)
    assert done.returncode == 0, done.stderr
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tmp_path / "out"),
        AutoTokenizer.from_pretrained(tmp_path / "out"),
    )
    assert model.config.vocab_size == len(tokenizer)


def test_report_of_a_finished_study_is_one_page_with_its_scores(finished: Path, mixgrid: Mixgrid) -> None:
    path = mixgrid("report", finished / "tiny.yaml", "--store", finished / "store").stdout.strip()
    page = Path(path).read_text(encoding="utf-8")
    assert "Does the pipeline run?" in page
    assert "<svg" in page


def test_report_whose_laws_were_damaged_is_noticed_and_made_again(copy: Path, server: str, mixgrid: Mixgrid) -> None:
    law = next((copy / "store").glob("aggregate/*/*/law.json"))
    law.write_bytes(law.read_bytes().replace(b"laws", b"Laws"))
    done = mixgrid("report", copy / "tiny.yaml", "--store", copy / "store")
    assert "SHA-256 differs" in done.stderr
    assert "Does the pipeline run?" in Path(done.stdout.strip()).read_text(encoding="utf-8")
    assert made(run(mixgrid, copy, server)) == 1
    again = mixgrid("report", copy / "tiny.yaml", "--store", copy / "store")
    assert "Does the pipeline run?" in Path(again.stdout.strip()).read_text(encoding="utf-8")


def test_renamed_model_is_the_same_training(copy: Path, server: str, mixgrid: Mixgrid) -> None:
    study = copy / "tiny.yaml"
    study.write_text(study.read_text().replace("name: nano", "name: renamed"))
    assert made(run(mixgrid, copy, server)) == 1  # the table alone
    rows = json.loads(mixgrid("results", study, "--store", copy / "store", "--format", "json").stdout)["rows"]
    assert {row["model"] for row in rows} == {"renamed"}


def test_run_with_its_store_on_s3_gives_the_results_of_a_local_one(
    finished: Path, server: str, s3_server: str, mixgrid: Mixgrid
) -> None:
    store = f"{s3_server}/study"
    done = mixgrid("run", finished / "tiny.yaml", "--store", store, "--workers", 1, PREFECT_API_URL=server)
    assert done.returncode == 0, done.stderr
    results = ("results", finished / "tiny.yaml", "--format", "json", "--store")
    assert mixgrid(*results, store).stdout == mixgrid(*results, finished / "store").stdout


def test_clean_of_all_checkpoints_gives_the_next_run_nothing_to_do(copy: Path, server: str, mixgrid: Mixgrid) -> None:
    told = ["--keep-checkpoints", "needed", "--older-than", "0", "--yes"]
    cleaned = mixgrid("clean", copy / "tiny.yaml", "--store", copy / "store", *told)
    assert cleaned.returncode == 0, cleaned.stderr
    left = Counter(path.split("/")[0] for path in artifacts(copy))
    assert left["sft"] + left["base"] == 0
    assert left["score"] == (1 + 6) * 3
    again = run(mixgrid, copy, server)
    assert (again.returncode, made(again)) == (0, 0)


def test_finished_study_has_a_law_that_says_there_are_too_few_cells(finished: Path, mixgrid: Mixgrid) -> None:
    law = json.loads(next((finished / "store").glob("aggregate/*/*/law.json")).read_text())
    assert law["sizes"] == {"math": 48, "general": 48}
    assert "too few cells" in law["refused"][0]["reason"]
    said = mixgrid("recommend", finished / "tiny.yaml", "--store", finished / "store", "--budget", "60tokens")
    assert "no recommendation: too few cells" in said.stdout
    wrong = mixgrid("recommend", finished / "tiny.yaml", "--store", finished / "store", "--weights", "maths=1")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean 'math'" in wrong.stderr


def test_compare_of_a_cell_with_itself_finds_no_item_that_differs(finished: Path, mixgrid: Mixgrid) -> None:
    side = f"{finished / 'tiny.yaml'}@{finished / 'store'}:nano:dmt:1/4:0"
    done = mixgrid("compare", side, side, "--items", "--format", "json")
    rows = json.loads(done.stdout)["rows"]
    assert [row["benchmark"] for row in rows] == ["lab.math", "response_loss", "lab.general"]
    assert all(row["difference"] == 0 and row["items"] == [] and row["n"] == 12 for row in rows)


def test_compare_of_a_study_with_itself_has_a_row_a_checkpoint_and_benchmark(finished: Path, mixgrid: Mixgrid) -> None:
    side = f"{finished / 'tiny.yaml'}@{finished / 'store'}"
    rows = mixgrid("compare", side, side, "--format", "csv").stdout.splitlines()
    scores = len(list((finished / "store").glob("score/*/record.json")))
    assert len(rows) == 1 + scores


def test_report_sets_the_cost_against_the_estimate(finished: Path, mixgrid: Mixgrid) -> None:
    done = mixgrid("report", finished / "tiny.yaml", "--store", finished / "store", "--price", "2")
    assert "cost on cpu at 2 an hour" in done.stderr
    assert "estimate" in done.stderr
    assert "trainings" in done.stderr


def test_status_of_a_finished_study_has_the_hours_its_records_tell_and_estimates_no_more(
    finished: Path, mixgrid: Mixgrid
) -> None:
    status = json.loads(mixgrid("status", finished / "tiny.yaml", "--store", finished / "store", "--json").stdout)
    records = [json.loads(path.read_text()) for path in (finished / "store" / "sft").glob("*/record.json")]
    hours = sum(record["provenance"]["seconds"] for record in records) / 3600
    assert status["hours"]["sft"] == {
        "used": pytest.approx(hours, abs=1e-4),
        "estimated": status["hours"]["sft"]["used"],
    }
    assert status["pools"] == {"working": 0, "queued": 0}
