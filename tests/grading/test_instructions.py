"""IFEval's verdict on a whole answer: strict and loose, floors, bad data, hostile text."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.errors import SourceError
from mixgrid.grading.instructions import RULES, check_instruction, floors, follow_all, grade

NO_COMMA, QUOTED = ("punctuation:no_comma", {}), ("startend:quotation", {})
TWO_BULLETS = ("detectable_format:number_bullet_lists", {"num_bullets": 2})
PARAGRAPHS = ("length_constraints:number_paragraphs", {"num_paragraphs": 2})


def row(*instructions: tuple[str, dict[str, object]], prompt: str = "Name two rivers.") -> str:
    names, kwargs = zip(*instructions, strict=True)
    return json.dumps({"key": 1, "prompt": prompt, "instruction_id_list": names, "kwargs": kwargs})


@pytest.mark.parametrize(
    ("answer", "strict"),
    [("* Nile\n* Volga", [True, True]), ("* Nile, Volga", [False, False]), ("Nile", [True, False]), ("", [False] * 2)],
)
def test_each_instruction_has_its_verdict_in_order(answer: str, strict: list[bool]) -> None:
    reference = row(NO_COMMA, TWO_BULLETS)
    assert follow_all(answer, reference) == strict
    assert grade(answer, reference)["strict"] is all(strict)


@pytest.mark.parametrize(
    ("answer", "instruction"),
    [
        ("Sure, here it is:\nThe Nile", NO_COMMA),
        ("The Nile\nYours, me", NO_COMMA),
        ("Sure, here:\nThe Nile\nYours, me", NO_COMMA),
        ('Sure:\n"The Nile"', QUOTED),
        ('**"The Nile"**', QUOTED),
        ('Sure:\n*"The Nile"*', QUOTED),
        ('*"The Nile"*\nBye', QUOTED),
        ('Sure:\n\n*"The Nile"*\n\nBye', QUOTED),
        ("**Section** 1", ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 1})),
    ],
)
def test_loose_forgives_a_first_line_a_last_line_and_stars(
    answer: str, instruction: tuple[str, dict[str, object]]
) -> None:
    assert grade(answer, row(instruction)) == {"strict": False, "loose": True, "no_answer": False}


@pytest.mark.parametrize(
    ("answer", "instruction"),
    [
        ("Sure, here:\nWell, this:\nThe Nile", NO_COMMA),
        ('Sure: "The Nile"', QUOTED),
        ("a", PARAGRAPHS),
        ("One, two", NO_COMMA),
    ],
)
def test_loose_forgives_no_more(answer: str, instruction: tuple[str, dict[str, object]]) -> None:
    assert grade(answer, row(instruction)) == {"strict": False, "loose": False, "no_answer": False}


def test_each_instruction_may_be_followed_loosely_by_another_variant() -> None:
    answer = 'Sure, here:\n"Nile\n***\nVolga"'
    reference = row(NO_COMMA, QUOTED, PARAGRAPHS)
    assert follow_all(answer, reference) == [False, False, True]
    assert follow_all(answer, reference, loose=True) == [True, True, True]


@pytest.mark.parametrize("answer", ["", " ", "\n\t\n", "\u3000"])
def test_blank_answer_follows_nothing(answer: str) -> None:
    assert grade(answer, row(NO_COMMA)) == {"strict": False, "loose": False, "no_answer": True}


def test_answer_of_stars_alone_follows_nothing_without_them() -> None:
    few = ("keywords:letter_frequency", {"letter": "*", "let_frequency": 1, "let_relation": "less than"})
    assert grade("***", row(few)) == {"strict": False, "loose": False, "no_answer": False}


def test_prompt_is_what_must_be_repeated_where_the_arguments_do_not_say() -> None:
    assert check_instruction("combination:repeat_prompt", {}, prompt="Name two.", answer="name two. Nile")
    given = {"prompt_to_repeat": "Name one."}
    assert not check_instruction("combination:repeat_prompt", given, prompt="Name two.", answer="name two. Nile")


def test_floors_are_the_scores_of_silence_and_of_the_echo() -> None:
    words = {"num_words": 5, "relation": "less than"}
    items = [
        row(NO_COMMA),  # the echo has no comma
        row(NO_COMMA, prompt="Name rivers, lakes and seas.\nUse no comma."),  # nor has its last line
        row(("combination:repeat_prompt", {"prompt_to_repeat": "Name two rivers."})),  # the echo repeats it
        row(("keywords:existence", {"keywords": ["rivers"]}), TWO_BULLETS),  # has the keyword and no bullets
        row(("length_constraints:number_words", words)),  # three words
        row(QUOTED, prompt='*"Name two rivers"*'),  # quoted without its stars
        row(("detectable_format:json_format", {})),
        row(("detectable_format:title", {}), prompt="Give a title such as <<rivers>>."),
    ]
    assert floors(items) == {"empty": {"strict": 0.0, "loose": 0.0}, "echo": {"strict": 4 / 8, "loose": 6 / 8}}
    with pytest.raises(SourceError, match="no rows"):
        floors([])


@pytest.mark.parametrize(
    ("rule", "kwargs", "message"),
    [
        ("keywords:any", {}, "unknown instruction 'keywords:any'; allowed: change_case:capital_word_frequency, "),
        ("punctuation:no_comma", {"commas": 1}, "no_comma: unknown argument 'commas'; allowed: none"),
        ("punctuation:no_comma", [], r"no_comma: its arguments are \[\]; they must be an object"),
        ("startend:end_checker", {}, "end_checker: no end_phrase in {}"),
        ("startend:end_checker", {"end_phrase": None}, "end_checker: no end_phrase in"),
        ("startend:end_checker", {"end_phrase": "  "}, "end_phrase is '  '; it must be text that is not blank"),
        ("keywords:existence", {"keywords": []}, r"keywords is \[\]; it must be a list of texts"),
        ("keywords:existence", {"keywords": "war"}, "keywords is 'war'; it must be a list of texts"),
        ("keywords:existence", {"keywords": ["a", 1]}, r"keywords is \['a', 1\]; it must be a list of texts"),
        (
            "length_constraints:number_words",
            {"num_words": 3, "relation": "at most"},
            "relation is 'at most'; it must be 'less than' or 'at least'",
        ),
        (
            "length_constraints:number_words",
            {"num_words": -1, "relation": "at least"},
            "num_words is -1; it must be a whole number from 0",
        ),
        (
            "length_constraints:number_words",
            {"num_words": 3.5, "relation": "at least"},
            "num_words is 3.5; it must be a whole number from 0",
        ),
        ("detectable_format:number_bullet_lists", {"num_bullets": True}, "num_bullets is True; it must be a whole"),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 0, "first_word": "a"},
            "nth_paragraph is 0; it must be a whole number from 1",
        ),
        (
            "keywords:letter_frequency",
            {"letter": "ab", "let_frequency": 1, "let_relation": "at least"},
            "letter is 'ab'; it must be one character",
        ),
        ("language:response_language", {"language": "xx"}, "language is 'xx'; it must be one of ar, bg, "),
    ],
)
def test_bad_instruction_is_the_data_s_fault_whatever_the_answer(
    rule: str, kwargs: dict[str, object], message: str
) -> None:
    for answer in ("", "The Nile"):
        with pytest.raises(SourceError, match=message):
            check_instruction(rule, kwargs, prompt="", answer=answer)
        with pytest.raises(SourceError, match=message):
            grade(answer, json.dumps({"prompt": "", "instruction_id_list": [rule], "kwargs": [kwargs]}))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("72", "reference '72' is no JSON object"),
        ("{", "is no JSON object"),
        ("{}", "prompt is None; it must be text"),
        ('{"prompt": "a", "instruction_id_list": [], "kwargs": []}', "lists of one length, not empty"),
        ('{"prompt": "a", "instruction_id_list": ["startend:quotation"]}', "kwargs None; they must be lists"),
        ('{"prompt": "a", "instruction_id_list": ["startend:quotation"], "kwargs": [{}, {}]}', "lists of one length"),
        ('{"prompt": "a", "instruction_id_list": [["b"]], "kwargs": [{}]}', r"unknown instruction \['b'\]"),
    ],
)
def test_bad_reference_is_the_data_s_fault(reference: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        grade("The Nile", reference)


def test_null_arguments_are_none_at_all() -> None:
    """A table with one column an argument, as the hub serves the data, has nulls for all that a row lacks."""
    kwargs = {"num_bullets": 2, "language": None, "keywords": None}
    assert check_instruction(TWO_BULLETS[0], kwargs, prompt="", answer="* a\n* b")


ARGUMENTS: dict[str, object] = {
    "keywords": ["a b", "zz"], "keyword": "ab", "frequency": 3, "relation": "at least", "letter": "a",
    "forbidden_words": ["a", "aa", "no"], "let_frequency": 2, "let_relation": "less than", "num_sentences": 3,
    "num_words": 3, "num_paragraphs": 3, "nth_paragraph": 2, "first_word": "it", "num_placeholders": 2,
    "postscript_marker": "P.S.", "num_bullets": 2, "num_highlights": 10**9, "section_spliter": "Section",
    "num_sections": 10**9, "language": "de", "capital_frequency": 3, "capital_relation": "at least",
    "end_phrase": "end", "prompt_to_repeat": "go",
}  # fmt: skip
ALL_RULES = [(name, {key: ARGUMENTS[key] for key in rule.arguments}) for name, rule in RULES.items()]


@given(st.text(st.characters()) | st.text('*-\n .!?"[]<>{}P,S1a') | st.text(st.characters(categories=["Cs"])))
def test_no_answer_raises_and_strict_implies_loose(answer: str) -> None:
    for instruction in ALL_RULES:
        verdict = grade(answer, row(instruction))
        assert verdict["loose"] or not verdict["strict"]
        assert not (verdict["no_answer"] and verdict["loose"])


MEGABYTE = 10**6
HOSTILE = [
    *(" \n\t\x00!\"*[<{1-,é字'\ud800\u2028."),
    *(
        "a ",
        "A. ",
        "...",
        "... ",
        "? ",
        "**a",
        "* ",
        "*a ",
        "*a \n",
        "[a",
        "[ ",
        "[]",
        "<<",
        "<<a",
        ">>",
        '{"a":',
        "1. ",
    ),
    *("p.", "p. p", "Section 1 ", "- a\n", "***", "******", "\n\n", "P.S.", "etc.", "etc. ", "no ", "it\n\n", "A-"),
    *("```json", "Mr.", "Mr. ", '."', '." ', "\ta\n", " \n", "\\u"),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_of_hostile_text_is_checked_at_once(piece: str) -> None:
    check_instruction(
        "language:response_language", {"language": "de"}, prompt="", answer="Die Sonne"
    )  # loads the model
    text = piece * (MEGABYTE // len(piece))
    for name, kwargs in ALL_RULES:
        start = time.process_time()
        check_instruction(name, kwargs, prompt="", answer=text)
        taken = time.process_time() - start
        assert taken < 0.5, name  # measured: 0.001 to 0.11; a quadratic pattern takes minutes
