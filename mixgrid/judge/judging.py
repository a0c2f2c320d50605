"""All judgments of a checkpoint's answers: each turn of each question, `repeats` times.

    run = judge_all([ModelAnswer(111, ("The area is 3.", "..."))], bench=bench, settings=settings, runtime=runtime)
    run.judgments[0]  ->  Judgment(question_id=111, turn=1, repeat=0, score=9.0, reply="... Rating: [[9]]", ...)

Every judgment that was asked for comes back; without a rating its score is None and its reason says why. Those in
`run.open` are asked again by a later run, which pays only for what was never answered.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mixgrid.errors import AnswersError, SourceError
from mixgrid.judge.budget import NO_TOKENS
from mixgrid.judge.cache import Reply, Request
from mixgrid.judge.client import Failure, JudgeClient
from mixgrid.judge.profiles import Case, Message, Profile, again, profile_named
from mixgrid.judge.questions import REFERENCED, Bench, Question
from mixgrid.judge.records import Judgment, ModelAnswer, Run
from mixgrid.judge.settings import JudgeRuntime, JudgeSettings
from mixgrid.progress import Progress, silent


def judge_all(
    answers: Sequence[ModelAnswer], *, bench: Bench, settings: JudgeSettings, runtime: JudgeRuntime,
    progress: Progress = silent,
) -> Run:  # fmt: skip
    """Judge all first turns, then all second turns. Not to be called in a running event loop.

    Raises AnswersError for a question the bench does not have, SourceError for files other than the settings say,
    JudgeError when the endpoint takes no request at all, StoreError when the cache cannot be read or written. What was
    answered until then is kept in each case.
    """
    for planned, found in ((settings.prompts, bench.prompt_file), (settings.references, bench.reference_file)):
        if planned is not None and (found is None or found.sha256 != planned):
            raise SourceError(
                f"{found.name if found else 'no file'} is not what was planned (SHA-256 "
                f"{found.sha256[:16] if found else None}, planned {planned[:16]}); plan again with the new content"
            )
    unknown = [answer.question_id for answer in answers if answer.question_id not in bench.questions]
    if unknown:
        raise AnswersError(
            f"question {unknown[0]} is not among the {len(bench.questions)} of the bench; "
            "judge answers to its questions, or give the file they were asked from"
        )
    return asyncio.run(_judge_all(answers, bench, settings, runtime, progress))


async def _judge_all(
    answers: Sequence[ModelAnswer], bench: Bench, settings: JudgeSettings, runtime: JudgeRuntime, progress: Progress
) -> Run:
    cases = [(answer, bench.questions[answer.question_id]) for answer in answers]
    total = sum(len(question.turns) for _, question in cases) * settings.repeats
    profile = profile_named(settings.profile)
    done: list[Judgment] = []
    async with JudgeClient(runtime) as client:
        judge = _Judge(client, profile, bench, settings)

        async def one(answer: ModelAnswer, question: Question, turn: int, repeat: int) -> Judgment:
            try:
                judgment = await judge.judge(answer, question, turn, repeat)
            except BaseException:
                client.meter.stop()  # calls under way come back and are kept; nothing more is sent
                raise
            done.append(judgment)
            unscored = sum(j.score is None for j in done)
            progress(len(done) / total, f"judged {len(done)}/{total}, {unscored} without a score")
            return judgment

        judgments: list[Judgment] = []
        for turn in (1, 2):
            asked = [(a, q, turn, r) for a, q in cases if len(q.turns) >= turn for r in range(settings.repeats)]
            # a task group would cancel calls that are paid for
            for ended in await asyncio.gather(*(one(*each) for each in asked), return_exceptions=True):
                if isinstance(ended, BaseException):
                    raise ended
                judgments.append(ended)
        return Run(judgments=judgments, spent=client.meter.spent)


@dataclass(frozen=True)
class _Judge:
    client: JudgeClient
    profile: Profile
    bench: Bench
    settings: JudgeSettings

    async def judge(self, answer: ModelAnswer, question: Question, turn: int, repeat: int) -> Judgment:
        blank = Judgment(question_id=question.question_id, turn=turn, repeat=repeat, profile=self.profile.name)
        if len(answer.turns) < turn:
            return replace(blank, reason="no answer", detail=f"the model answered {len(answer.turns)} turn(s)")
        limit = self.settings.answer_characters
        texts = tuple(text[:limit] for text in answer.turns[:turn])
        references = self.bench.references[question.question_id] if question.category in REFERENCED else ()
        name, rendered = self.profile.render(Case(question, texts, references), self.bench)
        # half a surrogate pair, which JSON can hold, is no text that could be sent
        messages = [{**m, "content": m["content"].encode("utf-8", "replace").decode()} for m in rendered]
        cut = any(len(text) > limit for text in answer.turns[:turn])
        return await self._ask(replace(blank, prompt_name=name, prompt=messages[-1]["content"], cut=cut), messages)

    async def _ask(self, blank: Judgment, messages: Sequence[Message]) -> Judgment:
        """Ask, and ask once more when there was a reply but no rating."""
        first = self._request(messages, blank.repeat)
        # an earlier run may have got nothing readable for the first request, and a rating for the second
        bare = self._request(again(messages, "", self.profile.reminder), blank.repeat)
        if await self.client.kept(first) is None and (reply := await self.client.kept(bare)):
            return self._judged(replace(blank, reasked=True), reply)
        judgment = self._judged(blank, await self.client.ask(first))
        if judgment.reason not in ("no rating", "empty reply", "unreadable reply"):
            return judgment
        second = self._request(again(messages, judgment.reply, self.profile.reminder), blank.repeat)
        return self._judged(replace(judgment, reasked=True), await self.client.ask(second))

    def _request(self, messages: Sequence[Message], repeat: int) -> Request:
        settings = self.settings
        return Request(
            model=settings.model, messages=tuple(dict(m) for m in messages), temperature=settings.temperature,
            max_tokens=settings.max_tokens, repeat=repeat,
        )  # fmt: skip

    def _judged(self, before: Judgment, outcome: Reply | Failure) -> Judgment:
        if isinstance(outcome, Failure):
            return replace(before, reason=outcome.reason, detail=outcome.detail)
        # a reply that was cut did not come to its verdict: a rating in it may be one that the judge quotes
        whole = outcome.finish_reason != "length"
        score = self.profile.rating(outcome.text) if whole else None
        tokens = before.tokens + (outcome.tokens or NO_TOKENS)
        judged = replace(before, score=score, reply=outcome.text, tokens=tokens, answered_at=outcome.answered_at)
        if score is not None:
            return replace(judged, reason=None, detail="")
        return replace(judged, reason="no rating", detail=f"finish reason {outcome.finish_reason!r}")
