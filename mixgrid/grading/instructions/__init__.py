"""Instruction following that a program checks: IFEval's 25 verifiable instructions (Zhou et al. 2023, 2311.07911).

    {"prompt": "Name a river. Do not use any commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    grade("The Nile.", reference)  ->  {"strict": True, "loose": True, "no_answer": False}

Strict: the answer as it is follows every instruction. Loose: each is followed by the answer or by one of seven variants
of it, without its first line, its last or both, and each of these without asterisks; an upper bound for answers with a
greeting or in markdown. Names, arguments and meaning are those of the official data and checks (google-research
3f357bd, instruction_following_eval), written anew; no answer is cut at a turn marker. Where the checks part:

    sentences              our own rule (sentences.py) for NLTK's trained model
    language               py3langid for langdetect; text in no language is in none, where officially it passes
    placeholders           `[]` is none
    bullets                need a space after the mark, so `---`, `-5` and `*emphasis*` are none
    highlights             markdown's: `2 * 3 * 4` has none, `***a***` is one
    capital words          `DON'T` is one word, where NLTK makes it two
    commas, quotes         those of other scripts count too
    an argument missing    an error, where officially it is drawn by chance
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from mixgrid.errors import SourceError
from mixgrid.grading.instructions import content, keywords, language, length, whole
from mixgrid.grading.instructions.rule import Rule
from mixgrid.sources.files import BadRow, parse_json, shown

RULES: Mapping[str, Rule] = {
    rule.id: rule for rule in chain(keywords.RULES, length.RULES, content.RULES, language.RULES, whole.RULES)
}


def check_instruction(instruction_id: str, kwargs: Mapping[str, object], *, prompt: str, answer: str) -> bool:
    """Whether the answer follows one instruction; a blank answer follows none.

    `prompt` is what `combination:repeat_prompt` wants repeated where `kwargs` does not say. Raises SourceError for an
    unknown instruction and for arguments that it does not take; never for an answer.
    """
    rule, arguments = _find_rule(instruction_id, kwargs, prompt)
    return bool(answer.strip()) and rule.follows(answer, **arguments)


def follow_all(answer: str, reference: str, *, loose: bool = False) -> list[bool]:
    """Whether the answer follows each instruction of the reference, in its order.

    `reference` is a row of the data as JSON, with `prompt`, `instruction_id_list` and `kwargs`. Raises SourceError.
    """
    rules = _read_reference(reference)[1]
    answers = [variant for variant in (_variants(answer) if loose else [answer]) if variant.strip()]
    return [any(rule.follows(variant, **arguments) for variant in answers) for rule, arguments in rules]


def grade(answer: str, reference: str) -> dict[str, bool]:
    """`strict`, `loose` and `no_answer` (a blank answer) for one prompt; see `follow_all`."""
    strict = all(follow_all(answer, reference))
    loose = strict or all(follow_all(answer, reference, loose=True))
    return {"strict": strict, "loose": loose, "no_answer": not answer.strip()}


def floors(references: Iterable[str]) -> dict[str, dict[str, float]]:
    """The shares of references that an empty answer and the echoed prompt satisfy, to be shown beside a score.

    floors([...])  ->  {"empty": {"strict": 0.0, "loose": 0.0}, "echo": {"strict": 0.12, "loose": 0.14}}
    """
    items = list(references)
    if not items:
        raise SourceError("ifeval: there are no rows to take floors of; check the data file")
    answers = {"empty": [""] * len(items), "echo": [_read_reference(item)[0] for item in items]}
    verdicts = {name: [grade(*pair) for pair in zip(said, items, strict=True)] for name, said in answers.items()}
    return {
        name: {level: sum(verdict[level] for verdict in graded) / len(items) for level in ("strict", "loose")}
        for name, graded in verdicts.items()
    }


def _find_rule(name: object, kwargs: object, prompt: str) -> tuple[Rule, dict[str, object]]:
    rule = RULES.get(name) if isinstance(name, str) else None
    if rule is None:
        raise SourceError(f"unknown instruction {shown(name)}; allowed: {', '.join(sorted(RULES))}")
    if not isinstance(kwargs, Mapping):
        raise SourceError(f"{name}: its arguments are {shown(kwargs)}; they must be an object, such as {{}}")
    given = {key: value for key, value in kwargs.items() if value is not None}
    implied = {"prompt_to_repeat": prompt} if "prompt_to_repeat" in rule.arguments else {}
    return rule, rule.read_arguments({**implied, **given})


def _read_reference(reference: str) -> tuple[str, list[tuple[Rule, dict[str, object]]]]:
    """The prompt, and each instruction's rule with its arguments."""
    row = parse_json(reference)
    if isinstance(row, BadRow) or not isinstance(row, dict):
        raise SourceError(f"reference {shown(reference)} is no JSON object; use IFEval's own rows")
    prompt, names, kwargs = (row.get(field) for field in ("prompt", "instruction_id_list", "kwargs"))
    if not isinstance(prompt, str):
        raise SourceError(f"reference {shown(reference)}: prompt is {shown(prompt)}; it must be text")
    if not (isinstance(names, list) and isinstance(kwargs, list) and names and len(names) == len(kwargs)):
        sizes = f"instruction_id_list is {shown(names)}, kwargs {shown(kwargs)}"
        raise SourceError(f"reference {shown(reference)}: {sizes}; they must be lists of one length, not empty")
    return prompt, [_find_rule(name, given, prompt) for name, given in zip(names, kwargs, strict=True)]


def _variants(answer: str) -> Iterator[str]:
    """The answer, and what the loose check also accepts; equal ones once."""
    lines = answer.split("\n")
    parts = [answer, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    yield from dict.fromkeys(chain(parts, (part.replace("*", "") for part in parts)))
