"""Detectable content and format: placeholders, a postscript, bullets, highlights, sections, a title, JSON.

    detectable_content:number_placeholders         {"num_placeholders": 3}    [name], [address], [phone number]
    detectable_content:postscript                  {"postscript_marker": "P.S."}
    detectable_format:number_bullet_lists          {"num_bullets": 2}         lines `* point` or `- point`, exactly 2
    detectable_format:number_highlighted_sections  {"num_highlights": 2}      *one* and **two**
    detectable_format:multiple_sections            {"section_spliter": "Day", "num_sections": 2}    Day 1 ... Day 2 ...
    detectable_format:title                        <<title>>
    detectable_format:constrained_response         "My answer is yes.", "My answer is no." or "My answer is maybe."
    detectable_format:json_format                  JSON and nothing else, perhaps in a fence

Bullets and highlights are markdown's: a bullet has a space after its mark, a highlight none inside its stars.
"""

import json
import re
from typing import NoReturn

from mixgrid.grading.instructions.rule import COUNT, PHRASE, Rule

ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")

_PLACEHOLDER = re.compile(r"\[(?=[^\[\]\n]*[^\[\]\s])[^\[\]\n]*+\]")
_BULLET = re.compile(r"^[ \t]*+[*-](?=[ \t]++\S)", re.MULTILINE)
_HIGHLIGHT = re.compile(r"\*{1,3}+(?=\S)[^*\n]++(?<=\S)\*")
# The official markers with optional spaces, such as `P. S.`; `P.P.S` has no last period.
_POSTSCRIPTS = {"P.S.": re.compile(r"(?<!\w)p\.\s?s\."), "P.P.S": re.compile(r"(?<!\w)p\.\s?p\.\s?s")}
_FENCE_OPENS = re.compile(r"```(?i:json)?")


def has_placeholders(answer: str, *, num_placeholders: int) -> bool:
    """At least so many square brackets around something, each on one line."""
    return sum(1 for _ in _PLACEHOLDER.finditer(answer)) >= num_placeholders


def has_postscript(answer: str, *, postscript_marker: str) -> bool:
    """The marker occurs, in any case."""
    marker, text = postscript_marker.strip(), answer.casefold()
    pattern = _POSTSCRIPTS.get(marker)
    return pattern.search(text) is not None if pattern else marker.casefold() in text


def has_bullets(answer: str, *, num_bullets: int) -> bool:
    """Exactly so many bullets, at any depth; a rule `---` and a line that opens with `*emphasis*` are none."""
    return sum(1 for _ in _BULLET.finditer(answer)) == num_bullets


def has_highlights(answer: str, *, num_highlights: int) -> bool:
    """At least so many stretches between stars on one line; the star of a bullet opens none."""
    return sum(1 for _ in _HIGHLIGHT.finditer(_BULLET.sub("", answer))) >= num_highlights


def has_sections(answer: str, *, section_spliter: str, num_sections: int) -> bool:
    """At least so many marks with a number after them; case counts."""
    mark = re.compile(rf"(?<!\w){re.escape(section_spliter.strip())}\s?\d")
    return sum(1 for _ in mark.finditer(answer)) >= num_sections


def has_title(answer: str) -> bool:
    """Some line has text in double angular brackets."""
    return any(_between(line, "<<", ">>").strip("<> \t\r") for line in answer.split("\n"))


def is_constrained(answer: str) -> bool:
    """One of the three answers occurs word for word; more text around it is allowed."""
    return any(option in answer for option in ANSWERS)


def is_json(answer: str) -> bool:
    """The whole answer is one JSON value; what nests too deeply to be read is none, and neither is NaN."""
    text = answer.strip()
    if opening := _FENCE_OPENS.match(text):
        text = text[opening.end() :].removesuffix("```")
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _between(line: str, opening: str, closing: str) -> str:
    """What stands between the first opening and the last closing mark; empty text without both."""
    start, end = line.find(opening), line.rfind(closing)
    return line[start + len(opening) : end] if 0 <= start < end else ""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


RULES = (
    Rule("detectable_content:number_placeholders", has_placeholders, {"num_placeholders": COUNT}),
    Rule("detectable_content:postscript", has_postscript, {"postscript_marker": PHRASE}),
    Rule("detectable_format:number_bullet_lists", has_bullets, {"num_bullets": COUNT}),
    Rule("detectable_format:number_highlighted_sections", has_highlights, {"num_highlights": COUNT}),
    Rule("detectable_format:multiple_sections", has_sections, {"section_spliter": PHRASE, "num_sections": COUNT}),
    Rule("detectable_format:title", has_title),
    Rule("detectable_format:constrained_response", is_constrained),
    Rule("detectable_format:json_format", is_json),
)
