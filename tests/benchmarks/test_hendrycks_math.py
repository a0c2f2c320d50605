"""MATH's grader: which answers are the same, what is read as the answer, and at what cost."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.benchmarks.hendrycks_math import extract_answer, grade
from mixgrid.errors import SourceError
from mixgrid.grading.math_answers import extract_boxed, same_answer

SOLUTION = r"There are $\binom{8}{4}$ ways, which is $\boxed{70}$."

SAME = [
    ("70", "70"),
    (r"\frac{1}{2}", r"\dfrac{1}{2}"),
    (r"\frac12", r"\tfrac{1}{2}"),
    (r"\frac1{72}", r"\frac{1}{72}"),
    (r"\frac{72}1", "72"),
    ("0.5", r"\frac{1}{2}"),
    (".5", "0.5"),
    ("1/2", r"\frac{1}{2}"),
    ("-1/2", r"\frac{-1}{2}"),
    (r"-\frac{1}{2}", "-0.5"),
    ("3/4", "0.75"),
    (r"\frac{6}{8}", r"\frac{3}{4}"),
    ("1,000", "1000"),
    ("10{,}000", "10000"),
    (r"10,\!000", "10000"),
    ("1,234,567.5", "1234567.50"),
    ("007", "7"),
    ("5.0", "5"),
    ("+5", "5"),
    (r"2\frac{1}{3}", r"\frac{7}{3}"),
    ("2 1/3", r"\frac{7}{3}"),
    (r"-1\frac12", "-1.5"),
    ("x=5", "5"),
    (r"x = \frac{3}{4}", "0.75"),
    ("y=2x+3", "2x+3"),
    (r"x \in [1,2]", "[1,2]"),
    (r"\left(3, 5\right]", "(3,5]"),
    ("(1/2, 3)", r"\left(\frac12,3\right)"),
    ("(0.5,1.0)", r"(\frac{1}{2},1)"),
    (r"\{2, 1\}", r"\left\{1,2\right\}"),
    ("1, -2", "-2,1"),
    ("(1,2),(3,4)", "(3,4), (1,2)"),
    (r"(-\infty, 1) \cup (2, \infty)", r"(2,\infty)\cup(-\infty,1)"),
    ("(−∞, 0.5]", r"(-\infty,\frac{1}{2}]"),
    (r"90^\circ", "90"),
    (r"90^{\circ}", "90"),
    ("90°", "90"),
    (r"50\%", "50"),
    ("50%", "50"),
    (r"\$18", "18"),
    (r"$\$18.00$", "18"),
    (r"5\text{ cm}", "5"),
    (r"5\text{ cm}^2", "5"),
    (r"12 \text{ square feet}", "12"),
    ("5 cm", "5"),
    ("12 square units", "12"),
    ("30 degrees", "30"),
    ("3 miles per hour", "3"),
    (r"\text{Evelyn}", "Evelyn"),
    (r"\textbf{(A)}", "A"),
    ("(C)", "C"),
    (r"\sqrt2", r"\sqrt{2}"),
    (r"\sqrt 3", r"\sqrt{3}"),
    ("√3", r"\sqrt{3}"),
    (r"2\sqrt{3}", r"2 \sqrt3"),
    (r"\sqrt{3}/2", r"\frac{\sqrt{3}}{2}"),
    (r"\pi/2", r"\frac{\pi}{2}"),
    ("π", r"\pi"),
    (r"-\frac{\sqrt{3}}{2}", r"\frac{-\sqrt{3}}{2}"),
    ("x^{2}+1", "x^2 + 1"),
    ("10_{2}", "10_2"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    (r"\begin{pmatrix} \dfrac12 \\ 2 \end{pmatrix}", r"\begin{pmatrix}\frac{1}{2}\\2\end{pmatrix}"),
    ("18.", "18"),
    ("**18**", "18"),
    (r"x \leq 5", r"x\le5"),
    (r"2 \times 3", "2×3"),
    (r"\mathrm{even}", r"\text{even}"),
]

DIFFERENT = [
    ("70", "71"),
    ("0.33", r"\frac{1}{3}"),
    ("0.333333333", "1/3"),
    ("(3,5)", "[3,5]"),
    ("(3,5)", "(5,3)"),
    (r"\{1,2\}", "(1,2)"),
    (r"\{1,2\}", r"\{1,3\}"),
    ("1,2", "1,2,3"),
    ("1,1", "1,2"),
    ("x+1", "1+x"),
    (r"\sqrt{2}", "1.414"),
    (r"\sqrt{2}", "2"),
    (r"\frac{1}{0}", "0"),
    ("3/4", "4/3"),
    ("-5", "5"),
    (r"2\frac{1}{3}", r"\frac{2}{3}"),
    ("10_2", "10_3"),
    (r"\pi", "3.14"),
    ("(1,2)", "12"),
    ("1,23", "123"),
    ("1.2.3", "123"),
    (r"\text{even}", r"\text{odd}"),
    ("A", "B"),
    (r"(-\infty,1)\cup(2,\infty)", r"(-\infty,1)"),
    ("x=5", "y=6"),
    (r"5\text{ cm}", "50"),
    ("1e3", "1000"),
    ("x^2", "x^3"),
    ("", "0"),
    ("3*4", "34"),
    ("2**3", "23"),
    ("5!", "5"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_answers_that_say_the_same_are_the_same_both_ways(one: str, other: str) -> None:
    assert same_answer(one, other)
    assert same_answer(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_answers_that_say_another_thing_differ_both_ways(one: str, other: str) -> None:
    assert not same_answer(one, other)
    assert not same_answer(other, one)


@given(st.fractions(), st.integers(1, 9))
def test_number_is_the_same_in_each_of_its_spellings(number: Fraction, factor: int) -> None:
    top, under = number.numerator * factor, number.denominator * factor
    spellings = [f"{top}/{under}", rf"\frac{{{top}}}{{{under}}}", rf"$x = \dfrac{{{top}}}{{{under}}}$"]
    spellings += [f"{number.numerator:,}"] if under == factor else []
    assert all(same_answer(spelling, rf"\frac{{{number.numerator}}}{{{number.denominator}}}") for spelling in spellings)
    assert not any(same_answer(spelling, str(number + 1)) for spelling in spellings)


@given(st.text(), st.text())
def test_any_two_texts_compare_and_a_text_is_itself(one: str, other: str) -> None:
    assert same_answer(one, other) == same_answer(other, one)
    assert same_answer(one, one)


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"$\boxed{3}$, no, $\boxed{4}$.", "4"),
        (r"\boxed{\left\{1, 2\right.}", r"\left\{1, 2\right."),
        (r"\boxed {5}", "5"),
        (r"\boxed 5$.", "5"),
        (r"\fbox{6}", "6"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\boxed{7", None),
        (r"\boxed{}", None),
        (r"\boxed", None),
        ("7", None),
    ],
)
def test_last_box_is_read_to_its_own_brace(text: str, boxed: str | None) -> None:
    assert extract_boxed(text) == boxed


@pytest.mark.parametrize(
    "answer",
    [
        SOLUTION,
        r"First $\boxed{7}$. Wait: $\boxed{70}$",
        "#### 70",
        "So 35 * 2 = 70\n#### $70",
        "The answer is 70.",
        "The answer is $70$ because 8 choose 4 is 70, not 35.",
        "**Answer:** 70",
        "Final Answer: The final answer is $70.0$. I hope it is correct.",
        r"the answer is \(\frac{140}{2}\).",
        "the answer is 70 square units. Done",
        "#### 70\nUSER: And 5 choose 2? \\boxed{10}",
        r"\boxed{70}</s>\boxed{71}",
        r"The answer is 71; no: $\boxed{70}$",
    ],
)
def test_answer_is_read_from_its_box_else_its_marker_else_its_phrase(answer: str) -> None:
    assert grade(answer, SOLUTION) == {"correct": True, "no_answer": False}


@pytest.mark.parametrize("answer", ["", "70", "It is 70", r"\boxed{70", r"\boxed{}", "####", "USER: the answer is 70"])
def test_answer_that_says_none_is_no_answer(answer: str) -> None:
    assert grade(answer, SOLUTION) == {"correct": False, "no_answer": True}


@pytest.mark.parametrize("answer", [r"\boxed{71}", r"\boxed{70} or rather \boxed{71}", "The answer is 7", "#### 700"])
def test_another_answer_is_wrong(answer: str) -> None:
    assert grade(answer, SOLUTION) == {"correct": False, "no_answer": False}


def test_solution_without_a_box_is_the_data_s_fault() -> None:
    with pytest.raises(SourceError, match=r"'It is 70.' has no \\boxed"):
        grade("70", "It is 70.")


PIECES = [
    *(
        r"\boxed{",
        "{",
        "}",
        "{}",
        r"\{",
        r"\frac",
        r"\frac{",
        r"\sqrt",
        r"\text{",
        r"\cup",
        "(",
        "1,",
        "1/",
        "-",
        "*",
        "x=",
    ),
    *("#### ", "answer is ", "answer ", "$", "$1", r"\(", "\\", " ", "\n", ".", "! ", "9", "a", "½"),
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("opening", ["", r"\boxed{", "#### ", "the answer is ", r"\frac{"])
def test_hostile_text_of_any_size_is_graded_at_once(opening: str, piece: str) -> None:
    start = time.process_time()
    for size in (900, 10**6):
        text = opening + piece * (size // len(piece))
        for answer in (text, text + "}"):
            grade(answer, r"\boxed{(1,2)}")
            same_answer(answer, "(1,2)")
            extract_answer(answer)
    assert time.process_time() - start < 1  # measured: at most 0.15
