"""MT-Bench: eighty questions of two turns in eight categories, rated by a judge (Zheng et al. 2023, 2306.05685).

    general: {source: sharegpt, benchmarks: [{name: mt_bench, path: data/question.jsonl}]}
    judge: {model: gpt-4, prompts: data/judge_prompts.jsonl, references: data/gpt-4.jsonl, reference_set: paper}

    {"score": 6.31, "n": 80, "low": 5.89, "high": 6.73, "judged": {"turns": {"1": 6.9, "2": 5.7}, "unscored": 1, ...}}

The question is the unit of the interval. What was judged once is never paid for again. Where more than 5 % of the
judgments have no rating there is no score: the step fails, tells why, and a later run asks for those alone.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mixgrid.benchmarks import Answered, Asked, Benchmark, Figure, Verdict
from mixgrid.conversations import Conversation
from mixgrid.errors import SourceError, StepError
from mixgrid.grading import Grading

if TYPE_CHECKING:
    from mixgrid.judge.questions import Question
    from mixgrid.judge.records import Judgment


def ask(item: Conversation) -> Asked:
    """The first question, then the second; the temperature is its category's."""
    from mixgrid.judge.questions import answer_temperature

    first, *more = [message for message in item.messages if message.role == "user"]
    temperature = answer_temperature(_question(item).category)
    return Asked(messages=(first,), more=tuple(more), temperature=temperature)


def grade(answers: Sequence[Answered], grading: Grading) -> Sequence[Verdict]:
    """A verdict an item: its ratings by turn, their mean, and what the judge said. Raises StepError without a score."""
    from mixgrid.judge.cache import CACHE
    from mixgrid.judge.fastchat_files import write_judgments, write_model_answers
    from mixgrid.judge.judging import judge_all
    from mixgrid.judge.questions import make_bench
    from mixgrid.judge.records import ModelAnswer
    from mixgrid.judge.summary import summarise

    settings, runtime = grading.settings.judge, grading.runtime
    questions = {q.question_id: q for q in (_question(answered.item) for answered in answers)}
    if len(questions) < len(answers):
        raise SourceError(f"mt_bench: {len(answers)} questions have {len(questions)} question_ids; give each its own")
    bench = make_bench(
        questions.values(), prompts=runtime.prompts, references=runtime.references, reference_set=settings.reference_set
    )
    given = [ModelAnswer(id, answered.turns) for id, answered in zip(questions, answers, strict=True)]
    reached = runtime.judge.model_copy(update={"cache": runtime.judge.cache or f"{grading.store}/{CACHE}"})
    run = judge_all(given, bench=bench, settings=settings, runtime=reached, progress=grading.progress)
    if run.open:
        reasons = dict(Counter(str(judgment.reason) for judgment in run.open))
        raise StepError(
            f"mt_bench: {len(run.open)} of {len(run.judgments)} judgments are still open ({reasons}); what was judged"
            " is kept: run again, with more budget in the runtime file if it was spent"
        )
    summary = summarise(run.judgments, bench.questions)
    if summary.overall.value is None or summary.overall.interval is None:
        raise StepError(f"mt_bench: no score: {summary.overall.withheld or 'one question'}, {dict(summary.unscored)}")
    grading.facts["judged"] = {
        "turns": {str(turn): mean.value for turn, mean in summary.turns.items()},
        "categories": {name: mean.value for name, mean in summary.categories.items()},
        "unscored": summary.overall.unscored, "reasons": dict(summary.unscored), "reasked": summary.reasked,
        "cut": summary.cut, "spent": asdict(run.spent),
        "files": [asdict(file) for file in (bench.prompt_file, bench.reference_file) if file],
    }  # fmt: skip
    grading.figure = Figure(
        score=summary.overall.value, n=summary.overall.questions,
        low=summary.overall.interval.low, high=summary.overall.interval.high,
    )  # fmt: skip
    write_model_answers(grading.folder, grading.label, given, answered_at=0.0)
    write_judgments(grading.folder, settings.model, {grading.label: run.judgments})
    return [_verdict([j for j in run.judgments if j.question_id == id]) for id in questions]


def _question(item: Conversation) -> "Question":
    from mixgrid.judge.questions import Question

    row: dict[str, Any] = json.loads(item.response)
    turns = tuple(message.content for message in item.messages if message.role == "user")
    return Question(question_id=row["question_id"], category=row["category"], turns=turns)


def _verdict(judgments: Sequence["Judgment"]) -> Verdict:
    scores = [j.score for j in judgments if j.score is not None]
    by_turn = {f"turn_{j.turn}_{j.repeat}": j.score for j in judgments}
    return {"rating": fmean(scores) if scores else None, "replies": json.dumps([j.reply for j in judgments])} | by_turn


BENCHMARK = Benchmark(
    name="mt_bench", data="mt_bench", ask=ask, grade=grade, headline="rating", max_new_tokens=1024, judged=True
)
