"""The answer as a whole: how it opens and ends, two answers in one, and no commas.

startend:end_checker       {"end_phrase": "Any other questions?"}    nothing follows the phrase
startend:quotation         "all of it in double quotation marks"
combination:repeat_prompt  {"prompt_to_repeat": "Write a poem."}     Write a poem. Roses are red ...
combination:two_responses  one answer ****** another
punctuation:no_comma       one sentence. Then the next.
"""

from mixgrid.grading.instructions.rule import PHRASE, Rule

COMMAS = ",，،、﹐﹑､"
_QUOTES = ('""', "“”")


def ends_with(answer: str, *, end_phrase: str) -> bool:
    """The phrase ends the answer, in any case; white space and closing quotes may follow."""
    return answer.strip().strip('"”').rstrip().casefold().endswith(end_phrase.strip().casefold())


def is_quoted(answer: str) -> bool:
    """A double quotation mark opens and another ends the answer, both straight or both curly."""
    text = answer.strip()
    return len(text) > 1 and text[0] + text[-1] in _QUOTES


def repeats_prompt(answer: str, *, prompt_to_repeat: str) -> bool:
    """The answer opens with the request, in any case."""
    return answer.strip().casefold().startswith(prompt_to_repeat.strip().casefold())


def has_two_responses(answer: str) -> bool:
    """Two different answers with six stars between; stars may also open or end the text."""
    parts = [part.strip() for part in answer.split("******")]
    responses = [part for part in parts if part]
    return all(parts[1:-1]) and len(responses) == 2 and responses[0] != responses[1]


def has_no_comma(answer: str) -> bool:
    """No comma of any script."""
    return not any(comma in answer for comma in COMMAS)


RULES = (
    Rule("startend:end_checker", ends_with, {"end_phrase": PHRASE}),
    Rule("startend:quotation", is_quoted),
    Rule("combination:repeat_prompt", repeats_prompt, {"prompt_to_repeat": PHRASE}),
    Rule("combination:two_responses", has_two_responses),
    Rule("punctuation:no_comma", has_no_comma),
)
