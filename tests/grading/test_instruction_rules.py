"""Each of the 25 instructions: answers that follow it and answers that do not, told apart by hand.

What the official checks say too, except where the package's docstring says that they part.
"""

import pytest

from mixgrid.grading.instructions import RULES, check_instruction
from mixgrid.grading.instructions.sentences import count_sentences

AT_LEAST, LESS_THAN = {"relation": "at least"}, {"relation": "less than"}
Case = tuple[str, dict[str, object], list[str], list[str]]

KEYWORDS: list[Case] = [
    (
        "keywords:existence",
        {"keywords": ["river", "New York"]},
        ["The river of New York", "NEW YORK RIVERSIDE", "**new york**\n\n* rivers", "New York, river, new york"],
        ["The river of York", "New  York river", "rive r, New York", "A new river", "…"],
    ),
    ("keywords:existence", {"keywords": ["C++ (v2)", "straße"]}, ["c++ (v2) STRASSE"], ["c+++ v2 straße", "C (v2)"]),
    (
        "keywords:frequency",
        {"keyword": "war", "frequency": 2, **AT_LEAST},
        ["War and war", "The award: a WAR", "wars, warm, toward"],
        ["War and peace", "wa r, w a r", "peace"],
    ),
    (
        "keywords:frequency",
        {"keyword": "aa", "frequency": 2, **LESS_THAN},
        ["aaa", "Aa", "b", "a a a a"],
        ["aaaa", "aa aa", "AA, aa and aA"],
    ),
    (
        "keywords:forbidden_words",
        {"forbidden_words": ["no", "C++"]},
        ["I know a note", "Nope.", "no_one", "C+", "xC++"],
        ["No.", "yes/NO", "**no**", "It's a no-go", "I like c++!", "(C++)"],
    ),
    (
        "keywords:letter_frequency",
        {"letter": "Q", "let_frequency": 2, "let_relation": "at least"},
        ["qq", "Quick, quick", "QuQ"],
        ["q", "opera", "O"],
    ),
    (
        "keywords:letter_frequency",
        {"letter": "#", "let_frequency": 3, "let_relation": "less than"},
        ["#one #two", "none", "＃＃＃"],
        ["###", "# # #", "#a#b#c#d"],
    ),
    (
        "keywords:letter_frequency",
        {"letter": "c", "let_frequency": 1, "let_relation": "less than"},
        ["No one", "dog", "ç"],
        ["Cat", "ice", "No such"],
    ),
]

LENGTH: list[Case] = [
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, **AT_LEAST},
        ["One. Two.", "One! And two", "Why? Because.", "Dr. Lee left. Mr. Ray stayed.", "*One.* Two"],
        ["One.", "Dr. Lee left.", "One, two, three", "It costs 3.50.", "Line one\nline two", "... !!! ???"],
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, **LESS_THAN},
        ["One.", "One. Two.", "See www.a.org or e.g. b.org. Go.", "1. Milk\n2. Eggs\n3. Tea"],
        ["One. Two. Three.", "A b? C d! E f.", "今天很好。你呢？很好。", "One. Two. And three"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, **AT_LEAST},
        ["one two three", "1 2 3 4", "* one\n* two\n* three", "don't go", "über den Fluß"],
        ["one two", "one - two !", "one_two_three", "onetwothree"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, **LESS_THAN},
        ["one two", "one", "!!! ... ???", "one_two three"],
        ["one two three", "well-known fact", "3.5 kg", "a, b, c, d"],
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["a\n***\nb", "a *** b", "***\na\n***\nb\n***\n", "a***b\n\nc"],
        ["a\n\nb", "a\n***\nb\n***\nc", "a\n***\n\n***\nb", "a\n******\nb", "a\n* * *\nb", "***"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "it"},
        ["a\n\nIt rains\n\nc", "a\n\n\n\nit's late\n\nc", 'a b\nc\n\n"IT, too"\n\nd', "a\n\n  it\n\n\n\nc\n\n"],
        ["a\n\nIts rain\n\nc", "a\n\nit rains", "It\n\nb\n\nc", "a\nit\nb", "a\n\nit\n\nc\n\nd", 'a\n\n"\n\nc'],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "it"},
        [],
        ["it\n\nit", "it\n\nit\n\nit"],
    ),
]

CONTENT: list[Case] = [
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["[name], [address]", "[a][b][c]", "[নাম] and [phone number]", "[[x]] [y]", "[link](u) [1]"],
        ["[name]", "(name) [address]", "[] [ ] [x]", "[a\nb] [c]", "name] [address", "{a} {b}"],
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        ["Bye\n\nP.S. Write!", "bye. p.s. write", "**P. S.** hi", "P.P.S. too"],
        ["Bye", "PS: write", "P.S", "app.s."],
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.P.S"},
        ["Bye\nP.P.S. Write!", "p.p.s write", "P. P. S hi", "P.P.S"],
        ["P.S. Write", "PPS write", "P.P. and S", "P.P.P."],
    ),
    ("detectable_content:postscript", {"postscript_marker": "N.B. (*)"}, ["n.b. (*) x"], ["N.B. x", "NB (*)"]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* a\n* b", "Intro\n\n- a\n- b\nEnd", "* a\n    - b", "* **a**\n* *b*\n---\n*c*", "*\ta\n* b"],
        ["* a", "* a\n* b\n* c", "1. a\n2. b", "• a\n• b", "*a\n*b", "a * b\nc * d", "-1\n-2"],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*a* and *b*", "**a** and *b c*", "* *a* and **b**", "***a*** *b*", "*a*\n*b*", "*é* *字*"],
        ["*a*", "***a***", "* a\n* b\n* c", "2 * 3 * 4 * 5", "** ** **", "*a\nb* *c*", "_a_ _b_", "****"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        [
            "SECTION 1\na\nSECTION 2\nb",
            "**SECTION 1** a SECTION 2",
            "SECTION1 SECTION2 SECTION3",
            "SECTION 1: SECTION 1:",
        ],
        [
            "SECTION 1",
            "Section 1\nSection 2",
            "SECTION A SECTION B",
            "SUBSECTION 1 SUBSECTION 2",
            "SECTION  1 SECTION  2",
        ],
    ),
    (
        "detectable_format:title",
        {},
        ["<<Joy>>\nRoses", "Roses <<a b>> red", "**<<Über & 1>>**", "<<<a>>>", "<<a\n<<b>>"],
        ["<Joy>", "<<>>", "<< >>", "<<a\nb>>", ">>a<<", "<<Joy", "« Joy »"],
    ),
    (
        "detectable_format:constrained_response",
        {},
        ["My answer is yes.", "  My answer is no.\n", "Well. My answer is maybe. Sorry."],
        ["My answer is yes", "my answer is no.", "Yes.", "My answer is: yes.", "My  answer is no."],
    ),
    (
        "detectable_format:json_format",
        {},
        [
            '{"a": 1}',
            '```json\n{"a": [1, "b"]}\n```',
            "```\n[]\n```",
            '  "text"  ',
            "```JSON\n1\n```",
            '{"ü": "\\u00e9"}',
        ],
        [
            "a: 1",
            "{'a': 1}",
            '{"a": 1,}',
            'Here: {"a": 1}',
            '{"a": 1} {"b": 2}',
            "```json\n```",
            "NaN",
            "```python\n1\n```",
        ],
    ),
]

LANGUAGE: list[Case] = [
    (
        "language:response_language",
        {"language": "de"},
        [
            "Der Zug war heute Morgen wieder verspätet und wir gingen zu Fuß.",
            "**Antwort:** Ich mag den Herbst, weil die Blätter rot werden.",
            "JA, DABEI KANN ICH IHNEN GERN HELFEN.",
        ],
        [
            "The train was late again this morning.",
            "Le train était en retard ce matin.",
            "123",
            "…",
            "我最喜欢的季节是秋天",
        ],
    ),
    (
        "language:response_language",
        {"language": "kn"},
        ["ಹೌದು, ನಾನು ನಿಮಗೆ ಸಹಾಯ ಮಾಡಬಹುದು.", "ಇಂದು ಬೆಳಿಗ್ಗೆ ರೈಲು", "1. ರೈಲು ಮತ್ತೆ ತಡವಾಗಿ ಬಂದಿತು."],
        ["Yes, I can help you with that.", "అవును, నేను మీకు సహాయం చేయగలను.", "The Kannada language"],
    ),
    (
        "change_case:english_capital",
        {},
        ["THE TRAIN IS LATE.", "WELL, 3 OF 4 ARE LATE!", "**STOP** THE CAR", "OK"],
        [
            "The train is late.",
            "THE TRAIN IS LATe",
            "DER ZUG HATTE HEUTE WIEDER VERSPÄTUNG",
            "123",
            "ПОЕЗД СНОВА ОПОЗДАЛ",
        ],
    ),
    (
        "change_case:english_lowercase",
        {},
        ["the train is late.", "well, 3 of 4 are late!", "* the car stops\n* the dog barks", '"the sea is blue"'],
        [
            "The train is late.",
            "the train is late, Bob",
            "der zug hatte heute wieder verspätung",
            "123",
            "今天天气很好",
        ],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        ["BIG and BOLD", "I like 3D", "**WELL-KNOWN** U.S. facts", "ÜBER ÄRGER", "DON'T STOP"],
        ["BIG and Bold", "DON'T", "WELL-KNOWN", "big BIGger", "3 + 4", "U.S.A"],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "less than"},
        ["big", "One BIG dog", "iPhone and McDonald", "一 二"],
        ["I am a BIG dog", "A B C", "NASA/ESA and AI"],
    ),
]

WHOLE: list[Case] = [
    (
        "startend:end_checker",
        {"end_phrase": "Any other questions?"},
        ["Yes. Any other questions?", "any OTHER questions?\n", '"Yes. Any other questions?"', "Any other questions?"],
        ["Any other questions", "Any other questions? No.", "Any other  questions?", "**Any other questions?**"],
    ),
    (
        "startend:quotation",
        {},
        ['"Hello"', ' "a "b" c"\n', "“Hello”", '"a\n\nb"'],
        ["Hello", '"Hello', 'Hello"', '"', "'Hello'", '"Hello" he said.', "“Hello\"", "```\n\"a\"\n```"],
    ),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Write a poem. "},
        ["Write a poem.\nRoses", "  write a POEM. Roses", "Write a poem."],
        ["Roses. Write a poem.", "Write a poem", "> Write a poem.", "Write  a poem.", "**Write a poem.**"],
    ),
    (
        "combination:two_responses",
        {},
        ["a\n******\nb", "a******b", "******\na\n******\nb\n******", "a ****** A"],
        ["a", "a\n***\nb", "a\n******\na ", "a\n******\nb\n******\nc", "a\n******\n******\nb", "******", "a ******"],
    ),
    (
        "punctuation:no_comma",
        {},
        ["One. Two.", "a; b", "3.5 l'eau"],
        ["One, two", "1,000", ",", "今天，很好", "نعم، شكرا"],
    ),
]  # fmt: skip

CASES = [*KEYWORDS, *LENGTH, *CONTENT, *LANGUAGE, *WHOLE]


@pytest.mark.parametrize(
    ("rule", "kwargs", "answer"), [(rule, kwargs, answer) for rule, kwargs, right, _ in CASES for answer in right]
)
def test_answer_that_follows(rule: str, kwargs: dict[str, object], answer: str) -> None:
    assert check_instruction(rule, kwargs, prompt="", answer=answer) is True


@pytest.mark.parametrize(
    ("rule", "kwargs", "answer"),
    [(rule, kwargs, answer) for rule, kwargs, _, wrong in CASES for answer in ["", " \n\t", *wrong]],
)
def test_answer_that_does_not_follow(rule: str, kwargs: dict[str, object], answer: str) -> None:
    assert check_instruction(rule, kwargs, prompt="", answer=answer) is False


def test_every_instruction_has_cases_of_both_kinds() -> None:
    assert len(RULES) == 25
    for rule in RULES:
        assert sum(len(right) for name, _, right, _ in CASES if name == rule) >= 3
        assert sum(len(wrong) for name, _, _, wrong in CASES if name == rule) >= 3


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Lee paid 3.50 for it. Why?! She said so...", 3),
        ("J. K. Rowling wrote it in the U.S. once.", 1),
        ("I like tea, milk, etc. and you? Tea, milk, etc. You?", 3),
        ("So do I. i said so.", 2),
        ('"Stop!" he said. "Go!" He left.', 3),
        ("Hm… Well… no. Ok…", 3),
        ("wait... what? Wait... What?", 3),
        ("See Fig. 3. It is No. 1. No. Never.", 4),
        ("1. Milk.\n2) Eggs.\n  * **3.** Tea. In 1945. Yes", 5),
        ("**Bold.** (Yes.) [No.] `Code.` «Ja.»", 5),
        ("क्या? हाँ। ठीक है।", 3),
        ("یہ کیا ہے؟ کتاب ہے۔", 2),
        ("a line\n\nanother line", 1),
        (". . . ! ?", 0),
        ("", 0),
    ],
)
def test_sentences_are_counted_by_the_rule(text: str, sentences: int) -> None:
    assert count_sentences(text) == sentences
