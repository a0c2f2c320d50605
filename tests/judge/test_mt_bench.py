"""MT-Bench in a study: a tiny model answers both turns, a real endpoint judges, and nothing is paid for twice."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mixgrid.judge.fastchat_files import read_judgments, read_model_answers

pytestmark = pytest.mark.server

STUDY = """
name: chat
abilities:
  general:
    source: {name: lab.general, rows: 48, held_out: 12}
    benchmarks: [{name: mt_bench, path: questions.jsonl, items: 10, max_new_tokens: 8}]
models:
  - name: nano
    scratch: {hidden_size: 32, intermediate_size: 64, layers: 1, heads: 2, vocabulary_size: 320}
    template: plain
proportions: [1]
experiments: [rq1]
recipe: {epochs: 1, batch_size: 8, peak_learning_rate: 2.0e-3, warmup_ratio: 0.1, schedule: cosine}
judge: {model: judge, prompts: PROMPTS, references: REFERENCES, reference_set: paper, repeats: 2}
"""


def test_budget_stops_a_study_and_more_of_it_finishes_without_paying_twice(
    judge_server: Any, bench_files: dict[str, str], tmp_path: Path
) -> None:
    study = STUDY.replace("PROMPTS", bench_files["prompts"]).replace("REFERENCES", bench_files["references"])
    (tmp_path / "chat.yaml").write_text(study)

    def run(**judge: object) -> "subprocess.CompletedProcess[str]":
        reached = {"base_url": judge_server.url, "concurrency": 4}
        (tmp_path / "runtime.yaml").write_text(yaml.safe_dump({"judge": reached | judge}))
        arguments = ["run", "chat.yaml", "--store", "runs", "--runtime", "runtime.yaml"]
        return subprocess.run(
            [sys.executable, "-m", "flows.command_line", *arguments], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"PREFECT_HOME": str(tmp_path / "prefect")}, check=False,
        )  # fmt: skip

    judge_server.behave = lambda request, _: {
        "text": f"It holds {'two' if len(request['messages'][-1]['content']) % 2 else 'one'}. Rating: [[6]]"
    }
    stopped = run(budget_calls=7)
    assert stopped.returncode == 1
    assert "judgments are still open ({'budget': 33})" in stopped.stderr
    finished = run()
    assert finished.returncode == 0, finished.stderr
    assert set(judge_server.completions.values()) == {2}  # `repeats`, which are equal to the endpoint
    record = json.loads(next(tmp_path.glob("runs/score/*/record.json")).read_text())
    ledger = record["ledger"]
    assert (ledger["score"], ledger["n"], ledger["low"], ledger["high"]) == (6.0, 10, 6.0, 6.0)
    assert ledger["judged"]["unscored"] == 0
    assert len(ledger["judged"]["files"]) == 2
    items = pd.read_parquet(next(tmp_path.glob("runs/score/*/*/items.parquet")))
    assert len(items) == 10
    assert (items["rating"] == 6).all()
    assert judge_server.key not in json.dumps(record)
    files = next(tmp_path.glob("runs/score/*/*/model_judgment")).parent
    (judged,) = read_judgments(str(files / "model_judgment" / "judge_single.jsonl")).values()
    assert len(judged) == 10 * 2 * 2
    assert {answer.question_id for answer in read_model_answers(str(next(files.glob("model_answer/*"))))} == set(
        items["item"].map(lambda row: 81 + row)
    )
    assert list(tmp_path.glob("runs/judge-cache/*/*.json"))
