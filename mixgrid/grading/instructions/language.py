"""Language and letter case: which language an answer is in, and whether its letters are capitals.

    language:response_language            {"language": "de"}       the answer is in German
    change_case:english_capital           English, no small letter
    change_case:english_lowercase         English, no capital
    change_case:capital_word_frequency    {"capital_frequency": 3, "capital_relation": "at least"}   THREE SUCH WORDS

The language is named by py3langid 0.4, whose model comes with the package: no download, and the same text always gets
the same name. Measured on 84 sentences in 28 languages and 16 short English texts: right 82 and 15, and 15 of the
short ones in capitals; langdetect 1.0.9, which the official checks use: 81, 12 and 8. It chooses among `LANGUAGES`:
those of IFEval, and some more that would else be taken for one of them. It names the language that fits best as a
whole, so a foreign word or two change nothing.
"""

import re
from functools import cache
from typing import Any

from mixgrid.errors import InputError
from mixgrid.grading.instructions.rule import COUNT, RELATION, Argument, Rule, holds

LANGUAGES = (
    *("ar", "bg", "bn", "de", "en", "es", "fa", "fi", "fr", "gu", "he", "hi", "it", "ja", "kn", "ko", "ml", "mr", "ne"),
    *("pa", "pl", "pt", "ru", "sw", "ta", "te", "th", "uk", "ur", "vi"),
    *("id", "nl", "sv", "tr", "zh"),
)
LONGEST = 20_000  # characters that are read; 512 tokens are about 2,000

# A hyphen, an apostrophe, a slash or a period inside a word does not end it: `WELL-KNOWN`, `U.S.A` and `DON'T` are one.
_WORD = re.compile(r"\w++(?:[-'’./]\w++)*+")


def identify_language(text: str) -> str | None:
    """The code of the language; None where nothing in the text speaks for one. Raises InputError without py3langid."""
    if not any(map(str.isalpha, text[:LONGEST])):
        return None
    (first, best), (_, second), *_ = _identifier().rank(text[:LONGEST])
    return str(first) if best > second else None


def is_in_language(answer: str, *, language: str) -> bool:
    """The answer as a whole is in the language; text that is in none is not."""
    return identify_language(answer) == language


def is_english_capital(answer: str) -> bool:
    """English with a capital and no small letter; what is too short to be named passes."""
    return answer.isupper() and identify_language(answer) in ("en", None)


def is_english_lowercase(answer: str) -> bool:
    """English with a small letter and no capital; what is too short to be named passes."""
    return answer.islower() and identify_language(answer) in ("en", None)


def has_capital_words(answer: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """Few or many enough words with a capital and no small letter; `I` and `3D` are such words."""
    return holds(sum(1 for word in _WORD.finditer(answer) if word[0].isupper()), capital_relation, capital_frequency)


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise InputError(
            "ifeval: naming an answer's language needs py3langid; install it with `pip install 'mixgrid[ifeval]'`"
        ) from None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(LANGUAGES)
    return identifier


LANGUAGE = Argument(f"one of {', '.join(sorted(LANGUAGES))}", lambda value: value in LANGUAGES)

RULES = (
    Rule("language:response_language", is_in_language, {"language": LANGUAGE}),
    Rule("change_case:english_capital", is_english_capital),
    Rule("change_case:english_lowercase", is_english_lowercase),
    Rule(
        "change_case:capital_word_frequency",
        has_capital_words,
        {"capital_frequency": COUNT, "capital_relation": RELATION},
    ),
)
