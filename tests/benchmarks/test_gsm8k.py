"""GSM8K's grader: what counts as the number an answer says, at what cost, and the command's rows."""

import json
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.benchmarks.gsm8k import LONGEST_NUMBER, Verdict, extract_flexible, extract_strict, grade
from mixgrid.errors import AnswersError, SourceError
from mixgrid.grading.gsm8k_rows import grade_gsm8k_rows, read_gsm8k_data

REFERENCE = "6 * 3 = <<6*3=18>>18\n#### 18"
DATA = [{"question": "6 * 3?", "answer": REFERENCE}, {"question": "1,000 + 234?", "answer": "#### 1,234"}]


@pytest.mark.parametrize(
    "answer",
    [
        "#### 18",
        "####18",
        "#### $18",
        "#### 18.",
        "#### 18.00",
        "#### 18...",
        "#### 18,",
        "#### 18, 19",
        "#### +18",
        "#### 018",
        "#### 36/2",
        "#### 36 / 2",
        "#### 36⁄2",
        "#### 18.00005",
        "#### 18 dollars",
        "#### 18dollars for 3 days",
        "#### 18%",
        "#### 18/hour",
        "#### **18**",
        "#### **$18**",
        "#### `18`",
        "#### (18)",
        "#### \\$18",
        "#### $\\boxed{18}$",
        "####\n18",
        "##### 18",
        "#### １８",
        "#### ＄18",
        "#### €18",
        "#### <<6*3=18>>18",
        "#### $<<6*3=18>>18",
        "#### 18<<6*3=18>>",
        "It takes <<6*3=18 eggs #### 18",
        "#### 18\nUSER: and 5? #### 5",
        "#### 18USER: 5",
        "#### 18</s> #### 5",
        "#### 18\x00 #### 5",
        "#### 18\n#### 5",
        "#### Step 1\n3 * 6\n#### 18",
        "####\n#### 18",
    ],
)
def test_answer_that_says_the_number_is_right_strictly_and_flexibly(answer: str) -> None:
    assert grade(answer, REFERENCE) == Verdict(strict=True, flexible=True, no_answer=False)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("#### -$5", "-5"),
        ("#### $-5", "-5"),
        ("#### \u22125", "-5"),
        ("#### \u2013 5", "-5"),
        ("#### -  5", "-5"),
        ("#### -1/2", "-1/2"),
        ("#### 1/2", "1/2"),
        ("#### ½", "1/2"),
        ("#### .5", "1/2"),
        ("#### 1,234", "1234"),
        ("#### $1,234.50", "1234.5"),
        ("#### 109,200,000", "109200000"),
        ("#### 1/3", "1/3"),
    ],
)
def test_strict_number_is_exact(answer: str, number: str) -> None:
    assert extract_strict(answer) == extract_flexible(answer) == Fraction(number)


@pytest.mark.parametrize(
    "answer",
    [
        "#### 3,4",
        "#### 12,34",
        "#### 18,0000",
        "#### 0,018",
        "#### 1.2.3",
        "#### 1.2,3",
        "#### 1e999999999",
        "#### 1e1",
        "#### 18/0",
        "#### 1/2/3",
        "#### 1/-2",
        "#### ",
        "####",
        "#### eighteen",
        "### # 5e5",
        "#### <<6*3=18>>",
        "<<6*3=18>>",
        "<<6*3=18",
        "USER: 18",
        "</s>#### 18",
        "",
        "#### " + "9" * (LONGEST_NUMBER + 1),
        "#### " + "9" * 10_000,
    ],
)
def test_text_that_says_no_number_has_no_answer(answer: str) -> None:
    assert grade(answer, REFERENCE) == Verdict(strict=False, flexible=False, no_answer=True)


@pytest.mark.parametrize("answer", ["#### 1 234", "#### 1\u202f234", "#### 1 1/2", "#### x = 1", "The total is 1."])
def test_strict_rule_reads_no_number_into_these(answer: str) -> None:
    assert extract_strict(answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        "The answer is 18 because 3 * 6 is no 20.",
        "So the final answer is: $18. That took 2 steps.",
        "**Answer:** 18 (step 3)",
        "answer = 18, not 5",
        "Hence \\boxed{18} for 3 days.",
        "The answer is \\boxed{\\$18} for 3 days.",
        "The answer is 12. No, the answer is 18. I took 2 tries.",
        "The answer is 3 * 6 = 18 dollars",
        "She has 18 left.",
        "6 * 3 = $18",
        "between 10-18",
        "It costs 18 or 1.2.3",
        "Total 18 <<9+9=99>>",
        "18 apples, the answer is unclear",
        "18\nUSER: What is 4 + 4?",
    ],
)
def test_answer_without_the_marker_is_right_only_flexibly(answer: str) -> None:
    assert grade(answer, REFERENCE) == Verdict(strict=False, flexible=True, no_answer=False)


@pytest.mark.parametrize("answer", ["#### 17", "#### 18.0002", "#### 5\n#### 18", "#### -18", "18 of 20", "#### 180"])
def test_another_number_is_wrong(answer: str) -> None:
    assert grade(answer, REFERENCE) == Verdict(strict=False, flexible=False, no_answer=False)


@given(
    number=st.integers(-(10**12), 10**12), before=st.text(st.characters(exclude_characters="#U<>\0")), text=st.text()
)
def test_well_formed_answer_is_right_after_any_text(number: int, before: str, text: str) -> None:
    assert grade(f"{before}\n#### {number:,}\n\n", f"#### {number}").strict
    verdict = grade(text, f"#### {number}")
    assert verdict.flexible or not verdict.strict


MEGABYTE = 10**6
HOSTILE = [
    *("#9,. \n-$\\<½Ａ"),
    *("<<a", "<<>", "1 ", "1/", "1 / ", "1,", ".1", "1e", "1e1 ", "1.2.3"),
    *("#### ", "####-", "#### (((", "#### 1,2", "\\boxed{", "USER", "</s"),
    *("the answer is ", "the answer is 1 ", "the answer is 1 x 1 ", "answer: -", "answer ", "**answer**"),
]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("opening", ["", "####", "answer", "1"])
def test_a_megabyte_of_hostile_text_is_graded_at_once(piece: str, opening: str) -> None:
    text = opening + piece * (MEGABYTE // len(piece))
    start = time.process_time()
    grade(text, REFERENCE)
    assert time.process_time() - start < 0.5  # measured: 0.004 to 0.1; a quadratic pattern takes minutes


def test_reference_without_a_number_is_the_data_s_fault() -> None:
    with pytest.raises(SourceError, match="'eighteen' does not end in '#### NUMBER'"):
        grade("#### 18", "eighteen")


def test_rows_are_graded_in_their_order_and_ids_may_repeat() -> None:
    answers = ["\ufeff" + json.dumps({"id": 1, "completion": "#### 1234"}), "\n"]
    answers += [json.dumps({"id": n, "completion": text}) for n, text in ((0, "18"), (1, "#### 5"), (0, "#### 18"))]
    assert list(grade_gsm8k_rows(answers, DATA)) == [
        {"id": 1, "strict": True, "flexible": True},
        {"id": 0, "strict": False, "flexible": True},
        {"id": 1, "strict": False, "flexible": False},
        {"id": 0, "strict": True, "flexible": True},
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'id': 0}", r"line 2: not JSON \(.*\{'id': 0\}"),
        ("[0]", r"line 2: \[0\] is not an object; each line must be"),
        ('{"completion": "a"}', "line 2: no 'id' in"),
        ('{"id": 0}', "line 2: no 'completion' in"),
        ('{"id": true, "completion": "a"}', "line 2, id: True is not an integer"),
        ('{"id": "0", "completion": "a"}', "line 2, id: '0' is not an integer"),
        ('{"id": 0.0, "completion": "a"}', "line 2, id: 0.0 is not an integer"),
        ('{"id": null, "completion": "a"}', "line 2, id: None is not an integer"),
        ('{"id": -1, "completion": "a"}', r"line 2, id: -1 is out of range \(0 to 1\)"),
        ('{"id": 2, "completion": "a"}', r"line 2, id: 2 is out of range \(0 to 1\)"),
        ('{"id": 0, "completion": null}', "line 2, completion: None is not text"),
        ('{"id": 0, "completion": ["a"]}', r"line 2, completion: \['a'\] is not text"),
    ],
)
def test_bad_row_of_answers_is_named_by_its_line(line: str, message: str) -> None:
    with pytest.raises(AnswersError, match=message):
        list(grade_gsm8k_rows(["\n", line], DATA))


@pytest.mark.parametrize("row", ["[]", "{", '{"question": "a"}', '{"question": "a", "answer": "18"}', '{"answer": 18}'])
def test_data_without_a_gradeable_answer_is_an_error(tmp_path: Path, row: str) -> None:
    (tmp_path / "test.jsonl").write_text(json.dumps(DATA[0]) + "\n" + row + "\n")
    with pytest.raises(SourceError, match=r"test\.jsonl: (row 1|line 2)"):
        read_gsm8k_data(str(tmp_path / "test.jsonl"))


def test_real_references_are_right_against_themselves(test_data: Path) -> None:
    data = read_gsm8k_data(str(test_data / "gsm8k/test.jsonl"))
    answers = (json.dumps({"id": number, "completion": row["answer"]}) for number, row in enumerate(data))
    verdicts = list(grade_gsm8k_rows(answers, data))
    assert len(verdicts) == 1319
    assert all(verdict == {"id": n, "strict": True, "flexible": True} for n, verdict in enumerate(verdicts))


def test_real_training_answers_agree_with_the_rule_of_the_paper_s_source(test_data: Path) -> None:
    answers = [str(row["answer"]) for row in read_gsm8k_data(str(test_data / "gsm8k/train.jsonl"))]
    closing = [Fraction(answer.rsplit("#### ", 1)[1].replace(",", "")) for answer in answers]
    assert [extract_strict(answer) for answer in answers] == closing
    assert len(closing) == 7473
