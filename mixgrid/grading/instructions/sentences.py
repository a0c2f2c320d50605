"""How many sentences a text has, by a rule of our own that needs no trained model.

    count_sentences("Dr. Lee paid 3.50 for it. Why?! She said so...")  ->  3

A sentence ends at `.`, `!`, `?`, an ellipsis or a run of them, with the quotes and brackets that close there, before
white space or the end of the text; and at `。！？।॥۔؟`, with or without white space. These end none:

    the period of a title (`Mr.`), of a single letter (`J. K.`, `e.g.`, `U.S.`), of `etc.` before a small letter and of
    `No.`, `Fig.` and `Vol.` before a number
    the number that opens a line (`1. Milk`)
    an ellipsis before a small letter, and a quote that runs on (`"Stop!" he said`)

Line breaks end none either, so a poem without punctuation is one sentence, as for NLTK's tokenizer, which the official
checks use. Only what holds a letter or digit counts, and so does the rest after the last end.
"""

import re

_TITLES = {2: "mr|ms|dr|st|jr|sr|vs|mt|cf|co", 3: "mrs|rev|hon|gen|col|sgt|inc|ltd", 4: "prof|capt|dept"}
_CLOSING = r"[\"'”’»)\]*_`]*+"
_SMALL_FOLLOWS = r"\s++[a-z]"

# Each of these follows the first mark, which is consumed first because the engine finds a character of a set fast.
# A lookbehind has one width, so titles go by their length. `I` is a word; `i` is one in text of small letters.
_NO_TITLE = "".join(rf"(?<!\b(?i:{titles})\.)" for titles in _TITLES.values())
_BEFORE_NUMBER = r"(?:(?<!\b(?i:no)\.)(?<!\b(?i:fig|vol)\.)|(?!\s++[0-9]))"
_NO_ETC = rf"(?:(?<!\b(?i:etc)\.)|(?!{_SMALL_FOLLOWS}))"
_NO_ABBREVIATION = rf"{_NO_TITLE}(?<!\b[A-HJ-Za-hj-z]\.){_BEFORE_NUMBER}{_NO_ETC}"
_PERIOD = rf"(?<=\.){_NO_ABBREVIATION}(?![.!?…])"
_ELLIPSIS = rf"(?:(?<=\.)\.|(?<=…))[.…]*+(?![!?]|{_CLOSING}{_SMALL_FOLLOWS})"
_MARKS = r"(?:(?<=[!?])|[.…]*+[!?])[.!?…]*+"
_NO_QUOTE_RUNS_ON = rf"(?!(?<=[\"'”’»]){_SMALL_FOLLOWS})"
# A run of marks is tried at its start only, which keeps the time linear.
_WESTERN = rf"(?<=[.!?…])(?<![.!?…]{{2}})(?:{_PERIOD}|{_ELLIPSIS}|{_MARKS}){_CLOSING}(?=\s|\Z){_NO_QUOTE_RUNS_ON}"
_OTHER = rf"(?<=[。！？।॥۔؟])[。！？।॥۔؟]*+{_CLOSING}"
_END = re.compile(rf"[.!?…。！？।॥۔؟](?:{_WESTERN}|{_OTHER})")
_LIST_NUMBER = re.compile(r"^[ \t>*#_-]{0,8}+[0-9]{1,3}+[.)](?=\s|\*)", re.MULTILINE)
_WORD = re.compile(r"\w")


def count_sentences(text: str) -> int:
    """The number of sentences; 0 for text without a letter or digit."""
    return sum(1 for sentence in _END.split(_LIST_NUMBER.sub("", text)) if _WORD.search(sentence))
