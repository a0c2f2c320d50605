"""The lab: what its sources hold out, what the pretraining text tells, and what its graders accept."""

import random
import subprocess
import sys

import pytest

from mixgrid.benchmarks import Answered, load_benchmarks
from mixgrid.benchmarks import lab_code as code_grader
from mixgrid.benchmarks import lab_general as general_grader
from mixgrid.benchmarks import lab_math as math_grader
from mixgrid.conversations import Conversation, exchange
from mixgrid.grading import Grading
from mixgrid.lab.text import pretraining_documents
from mixgrid.lab.world import VALUES, facts
from mixgrid.sources import lab_code, lab_general, lab_math, lab_math_far

SOURCES = {"math": lab_math, "code": lab_code, "general": lab_general, "math_far": lab_math_far}
PROGRAM = "def f(xs):\n    return sum([x * 2 for x in xs if x > 0])"


def _rows(ability: str) -> tuple[list[Conversation], list[Conversation]]:
    training, held_out = SOURCES[ability].generate(rows=512, held_out=150, seed=0)
    return training, held_out


@pytest.mark.parametrize("ability", SOURCES)
def test_generate_gives_the_numbers_asked_for_and_no_prompt_twice(ability: str) -> None:
    training, held_out = _rows(ability)
    assert (len(training), len(held_out)) == (512, 150)
    assert len({row.prompt for row in training + held_out}) == 662
    assert [row.origin for row in training] == list(range(512))


@pytest.mark.parametrize("ability", SOURCES)
def test_held_out_answers_occur_in_no_training_row(ability: str) -> None:
    # an answer states the exercise, the combination or the fact in full
    training, held_out = _rows(ability)
    assert not {row.response for row in training} & {row.response for row in held_out}


@pytest.mark.parametrize("ability", SOURCES)
def test_generate_with_more_rows_than_there_are_says_how_many_there_are(ability: str) -> None:
    with pytest.raises(ValueError, match=r"\d+ .*100000 "):
        SOURCES[ability].generate(rows=100_000, held_out=150, seed=0)


def test_generated_texts_are_the_same_in_another_process() -> None:
    program = (
        "import hashlib; from mixgrid.lab.text import pretraining_documents as p;"
        "from mixgrid.sources import lab_code, lab_general, lab_math;"
        "modules = (lab_code, lab_general, lab_math);"
        "t = [p(documents=50, seed=1)] + [m.generate(rows=90, held_out=20, seed=1) for m in modules];"
        "print(hashlib.sha256(repr(t).encode()).hexdigest())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert lab_math.generate(rows=9, held_out=1, seed=1) != lab_math.generate(rows=9, held_out=1, seed=2)


def test_pretraining_text_states_every_fact_and_asks_nothing() -> None:
    text = "\n".join(pretraining_documents(documents=4000, seed=0))
    for fact in facts():
        assert f"The {fact.attribute} of {fact.place} is {fact.value}." in text
    assert not any(mark in text for mark in ("?", "####", "USER", "def "))


def test_world_gives_each_place_one_value_an_attribute() -> None:
    assert len({(fact.place, fact.attribute) for fact in facts()}) == len(facts()) == 192
    assert all(fact.value in VALUES[fact.attribute] for fact in facts())


def test_math_answers_are_arithmetically_true() -> None:
    for row in _rows("math")[0]:
        first, second, last = row.response.split("\n")
        first, second = first.split(": ")[1], second.split(": ")[1]
        assert eval(first.replace("=", "=="))
        assert eval(second.replace("=", "=="))
        assert second.startswith(first.split("=")[1])
        assert last == f"#### {second.split('=')[1]}"


@pytest.mark.parametrize(
    ("prompt_part", "numbers", "expected"),
    [
        ("the sum of the squares of the even", [1, 2, -4], 20),
        ("the maximum of the negatives of the negative", [1, -2, -7], 7),
        ("the maximum of the doubles of the negative", [1], 0),
        ("the count of the halves of the nonzero", [0, 3, 4], 2),
        ("the order of the successors of the odd", [5, 2, -1], [0, 6]),
        ("the set of the sizes of the threefold", [3, -3, 4], {3}),
    ],
)
def test_code_answers_compute_what_is_asked(prompt_part: str, numbers: list[int], expected: object) -> None:
    rows = [row for part in lab_code.generate(rows=1400, held_out=150, seed=0) for row in part]
    answers = {row.response for row in rows if prompt_part in row.prompt}
    assert len(answers) == 1
    namespace: dict[str, object] = {}
    exec(answers.pop(), namespace)
    assert namespace["f"](numbers) == expected  # type: ignore[operator]


def verdicts_of(ability: str, answers: list[tuple[str, str]]) -> list[bool]:
    """Of (answer, reference) pairs, by the benchmark itself."""
    benchmark = load_benchmarks()[f"lab.{ability}"]
    asked = [Answered(item=exchange("?", reference), turns=(answer,)) for answer, reference in answers]
    assert benchmark.grade is not None
    return [bool(verdict["correct"]) for verdict in benchmark.grade(asked, Grading())]


@pytest.mark.parametrize("ability", SOURCES)
def test_graders_accept_every_reference_and_reject_another_answer(ability: str) -> None:
    references = [row.response for row in _rows(ability)[1]]
    other = random.Random(0).choice([answer for answer in references if answer[-4:] != references[0][-4:]])
    answers = [(f" {answer} USER: more", answer) for answer in references]
    assert verdicts_of(ability, answers) == [True] * len(references)
    assert verdicts_of(ability, [("", references[0]), (other, references[0])]) == [False, False]


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("#### 18", True),
        ("1+1=2 ####18", True),
        ("#### 18.", True),
        ("18", False),
        ("#### 180", False),
        ("#### 18.5", False),
        ("#### -18", False),
        ("#### 7 #### 18", False),
        ("#### 7 USER: #### 18", False),
        ("#### 18 USER: #### 7", True),
        ("#### " + "9" * 100_000, False),
    ],
)
def test_math_grader_reads_the_number_after_the_first_marker(answer: str, right: bool) -> None:
    assert math_grader.grade(answer, "9+9=18\n#### 18") is right


def test_code_grader_runs_what_is_another_program_and_compares_what_it_gives() -> None:
    answers = {
        "def f(a): return sum([y*2 for y in a if y>0])": True,
        "def f(a, b=1):\n    return 2 * sum(y for y in a if y > 0)": True,
        "def f(a):\n    total = 0\n    for y in a:\n        total += 2 * max(y, 0)\n    return total": True,
        PROGRAM.replace("x *", "y *"): False,
        PROGRAM.replace("f(", "g("): False,
        PROGRAM.replace("sum", "max"): False,
        PROGRAM.replace("> 0", ">= 9"): False,
        PROGRAM.replace("sum([", "float(sum([").replace("])", "]))"): False,
        "def f(sum): return sum([x * 2 for x in sum if x > 0])": False,
        "def f(xs):\n    while True: pass": False,
        "class A:\n    __eq__ = lambda a, b: True\ndef f(xs): return A()": False,
        "sure: " + PROGRAM: False,
    }
    assert verdicts_of("code", [(answer, PROGRAM) for answer in answers]) == list(answers.values())


@pytest.mark.parametrize(
    "answer",
    [
        "(" * 9_000,
        "-" * 9_000 + "1",
        "x" + ".a" * 4_900,
        "\0",
        "\ud800",
        "a" * 1_000_000,
        "[" * 500_000,
        "'\\d'",
        "1" * 9_000,
        "f(" * 90 + ")" * 90,
        "+".join("1" * 4_900),
        "if 1:\n" * 200,
        "\t\n x",
        "def f(" + ",".join(f"a{i}" for i in range(900)),
    ],
)
def test_code_grader_with_hostile_text_says_wrong(answer: str) -> None:
    assert not code_grader.same_program(answer, PROGRAM)
    assert not code_grader.defines_f(answer) or verdicts_of("code", [(answer, PROGRAM)]) == [False]


@pytest.mark.parametrize(
    "answer", ["the color of aldor  is Teal", " The color of Aldor\nis teal. ", "The color of Aldor is teal.USER: x"]
)
def test_general_grader_ignores_case_space_and_the_closing_period(answer: str) -> None:
    assert general_grader.grade(answer, "The color of Aldor is teal.")


def test_general_grader_with_more_than_the_sentence_says_wrong() -> None:
    assert not general_grader.grade("The color of Aldor is teal. The food is rice.", "The color of Aldor is teal.")
