"""FastChat's files: FastChat itself reads ours, and ours and FastChat's come back as they were."""

import argparse
import importlib
import json
import re
from pathlib import Path

import pytest

from mixgrid.errors import AnswersError
from mixgrid.judge.fastchat_files import read_judgments, read_model_answers, write_judgments, write_model_answers
from mixgrid.judge.records import Judgment, ModelAnswer


def judged(question_id: int, turn: int, score: float | None, profile: str = "mt-bench") -> Judgment:
    return Judgment(
        question_id=question_id, turn=turn, repeat=0, profile=profile, prompt_name="single-v1", prompt="Q \ud800 A",
        reply="R", score=score, reason=None if score else "no rating", answered_at=1.5e9,
    )  # fmt: skip


def test_fastchat_s_own_result_shows_our_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Turn 1: 8 and 5.5, one without a score; turn 2: 4. FastChat's average is over all three: 17.5 / 3."""
    rows = [judged(81, 1, 8.0), judged(82, 1, 5.5), judged(83, 1, None), judged(81, 2, 4.0)]
    path = write_judgments(tmp_path, "gpt-4", {"vicuna": rows, "other": [judged(81, 1, 1.0)]})
    show = importlib.import_module("fastchat.llm_judge.show_result").display_result_single
    show(argparse.Namespace(input_file=str(path), bench_name="mt_bench", judge_model="gpt-4", model_list=["vicuna"]))
    shown = [float(number) for number in re.findall(r"^vicuna .*?([0-9.]+)$", capsys.readouterr().out, re.MULTILINE)]
    assert path == tmp_path / "model_judgment" / "gpt-4_single.jsonl"
    assert shown == [pytest.approx(6.75), pytest.approx(4.0), pytest.approx(17.5 / 3, abs=1e-5)]


def test_judgments_come_back(tmp_path: Path) -> None:
    rows = [judged(81, 1, 8.0), judged(81, 2, None)]
    assert read_judgments(str(write_judgments(tmp_path, "gpt-4", {"vicuna": rows}))) == {"vicuna": rows}


def test_published_references_are_answers_too(test_data: Path) -> None:
    path = test_data / "mt_bench" / "reference_answer_gpt-4.jsonl"
    answers = read_model_answers(str(path))
    assert len(answers) == 30
    assert answers[0].question_id == 101
    assert answers[0].turns[0].startswith("If you have just overtaken the second person")


def test_answers_come_back_with_the_fields_that_fastchat_writes(tmp_path: Path) -> None:
    answers = [ModelAnswer(82, ("a\u2028b", "c")), ModelAnswer(81, ("d", ""))]
    path = write_model_answers(tmp_path, "org/model", answers, answered_at=1.5e9)
    assert path == tmp_path / "model_answer" / "org--model.jsonl"
    assert read_model_answers(str(path)) == [answers[1], answers[0]]
    row = json.loads(path.read_text().splitlines()[0])
    assert set(row) == {"question_id", "answer_id", "model_id", "choices", "tstamp"}
    assert (row["model_id"], row["choices"]) == ("org/model", [{"index": 0, "turns": ["d", ""]}])


def test_judgments_of_two_scales_get_two_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="their scales differ"):
        write_judgments(tmp_path, "j", {"m": [judged(81, 1, 3.0), judged(81, 2, 3.0, "prometheus")]})
    assert write_judgments(tmp_path, "j", {"m": [judged(81, 1, 3.0, "prometheus")]}).name == "j-prometheus_single.jsonl"


def test_bad_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question_id": 81, "choices": []}\n')
    with pytest.raises(AnswersError, match="row 1, choices"):
        read_model_answers(str(path))
