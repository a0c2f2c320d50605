"""Judge profiles: how a judge is asked, how its rating is written, and the scale. Ratings of two profiles never mix.

    mt-bench      FastChat's own prompts    "Rating: [[7]]"    1..10
    prometheus    absolute grading          "[RESULT] 4"       1..5     Prometheus 2 (Kim et al. 2024, arXiv 2405.01535)

A profile is added here and tested in `tests/judge/test_profiles.py`. Only the judge's reply is ever searched for a
rating, so that one written in an answer counts for nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mixgrid.errors import SourceError, StudyError
from mixgrid.judge.questions import Bench, Question, prompt_name
from mixgrid.judge.verdict import BRACKETED, RESULT, Scale, last_rating

Message = Mapping[str, str]
"""`{"role": "system" | "user" | "assistant", "content": ...}`"""


@dataclass(frozen=True)
class Case:
    """What is judged: the answer to the last of `answers`' turns. `references` are empty where none is needed."""

    question: Question
    answers: tuple[str, ...]
    references: tuple[str, ...] = ()

    @property
    def turn(self) -> int:
        """1 or 2."""
        return len(self.answers)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """`render` gives the name of the prompt and the messages; `reminder` is said when a reply had no rating."""

    name: str
    scale: Scale
    pattern: "re.Pattern[str]"
    reminder: str
    render: Callable[[Case, Bench], tuple[str, list[Message]]]

    def rating(self, reply: str) -> float | None:
        """The reply's last rating on the scale."""
        return last_rating(reply, self.pattern, self.scale)


def profile_named(name: str) -> Profile:
    """Raises StudyError for an unknown name."""
    if name not in PROFILES:
        raise StudyError(f"judge profile {name!r} is unknown; choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def again(messages: Sequence[Message], reply: str, reminder: str) -> list[Message]:
    """The second request, after a reply without a rating: roles still alternate, which many chat templates demand."""
    if reply:
        return [*messages, {"role": "assistant", "content": reply}, {"role": "user", "content": reminder}]
    return [*messages[:-1], {**messages[-1], "content": f"{messages[-1]['content']}\n\n{reminder}"}]


def _fastchat(case: Case, bench: Bench) -> tuple[str, list[Message]]:
    name = prompt_name(case.question.category, case.turn)
    if name not in bench.prompts:
        raise SourceError(f"judge prompt {name!r} is missing; give FastChat's judge_prompts.jsonl")
    prompt, turns = bench.prompts[name], case.question.turns
    fields = {"question": turns[0], "answer": case.answers[0]}
    for number, texts in enumerate(zip(turns, case.answers, strict=False), start=1):
        fields[f"question_{number}"], fields[f"answer_{number}"] = texts
    fields |= {f"ref_answer_{number}": text for number, text in enumerate(case.references, start=1)}
    try:
        text = prompt.prompt_template.format(**fields)
    except KeyError as error:
        raise SourceError(f"judge prompt {name!r} has the field {error}; it may have {', '.join(fields)}") from error
    return name, [{"role": "system", "content": prompt.system_prompt}, {"role": "user", "content": text}]


_TASK = """###Task Description:
You get an instruction (which may hold an input, or a conversation so far), a response to it, {given}a score rubric.
1. Write detailed feedback on the quality of the response. Follow the rubric alone, not a general impression.
2. After the feedback, give a score: an integer from 1 to 5, as the rubric describes it.
3. Write in this form: "Feedback: (feedback by the rubric) [RESULT] (an integer from 1 to 5)"
4. Write nothing before, after or besides that."""

_RUBRIC = """[Is the response helpful, relevant, accurate, thorough and as detailed as the instruction asks for?]
Score 1: It does not do what was asked, or is wrong throughout.
Score 2: It does a small part of what was asked, with serious mistakes or gaps.
Score 3: It does the main part, with mistakes or gaps that a reader would notice.
Score 4: It does what was asked, with only minor flaws.
Score 5: It does all that was asked, correctly, clearly and in full."""


def _prometheus(case: Case, _: Bench) -> tuple[str, list[Message]]:
    """One user message, as the template of the models' base refuses a system message."""
    instruction = case.question.turns[0]
    if case.turn == 2:
        instruction = f"User: {instruction}\n\nAssistant: {case.answers[0]}\n\nUser: {case.question.turns[1]}"
    reference = case.references[case.turn - 1] if case.references else None
    parts = [
        _TASK.format(given="a reference answer that would get the score 5, and " if reference else "and "),
        f"###The instruction to evaluate:\n{instruction}",
        f"###Response to evaluate:\n{case.answers[-1]}",
        *([f"###Reference Answer (Score 5):\n{reference}"] if reference else []),
        f"###Score Rubrics:\n{_RUBRIC}",
        "###Feedback: ",
    ]
    return "absolute", [{"role": "user", "content": "\n\n".join(parts)}]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="mt-bench", scale=Scale(1, 10), pattern=BRACKETED, render=_fastchat,
            reminder='Your reply gave no rating in the required form. Reply with it alone, as in "Rating: [[5]]".',
        ),
        Profile(
            name="prometheus", scale=Scale(1, 5), pattern=RESULT, render=_prometheus,
            reminder='Your reply gave no score in the required form. Reply with it alone, as in "[RESULT] 3".',
        ),
    )
}  # fmt: skip
