"""Putting a benchmark's items to a checkpoint, turn after turn, each answer kept as it comes.

    dialogue = Dialogue({7: Asked(messages=(Message("user", "1 + 1?"),))}, kept, tokenizer=tokenizer, template="vicuna")
    dialogue.answer_turn(0, engine, max_new_tokens=64, progress=progress)
    dialogue.rows()  -> [{"item": 7, "turn": 0, "prompt": "... USER: 1 + 1? ASSISTANT:", "answer": "#### 2", ...}]

All first turns are one batch, then all second turns, which follow on the checkpoint's own first answers.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mixgrid.benchmarks import Asked
from mixgrid.conversations import Message
from mixgrid.generation import Answer, Engine, Prompt
from mixgrid.kept_answers import KeptAnswers
from mixgrid.progress import Progress
from mixgrid.templates import prompt_text


class Dialogue:
    """The turns of all items; what `kept` found of an earlier run is not asked again."""

    def __init__(self, asked: Mapping[int, Asked], kept: KeptAnswers, *, tokenizer: Any, template: str) -> None:
        self._asked, self._kept = asked, kept
        self._tokenizer, self._template = tokenizer, template
        self._answers: dict[tuple[int, int], Answer] = {}
        self._prompts: dict[tuple[int, int], str] = {}
        self.turns = max((1 + len(a.more) for a in asked.values()), default=0)

    def answer_turn(self, turn: int, engine: Engine, *, max_new_tokens: int, progress: Progress) -> None:
        """Answer this turn of every item that has one and is not answered yet."""
        items = [item for item, asked in self._asked.items() if turn <= len(asked.more)]
        for item in items:
            self._prompts[item, turn] = self._prompt(item, turn)
        self._answers |= {
            (item, turn): self._kept.found[item, turn] for item in items if (item, turn) in self._kept.found
        }
        missing = [item for item in items if (item, turn) not in self._answers]
        prompts = [Prompt(self._prompts[i, turn], self._asked[i].temperature, seed=1000 * i + turn) for i in missing]
        done, total = len(items) - len(missing), len(items)
        with self._kept:
            for index, answer in engine.answers(prompts, max_new_tokens=max_new_tokens):
                self._answers[missing[index], turn] = answer
                self._kept.add(missing[index], turn, answer)
                done += 1
                progress(
                    (turn + done / total) / self.turns,
                    f"{done}/{total} answers" + (f" of turn {turn + 1}" if self.turns > 1 else ""),
                )

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row an item and turn, in the items' order. What was put into the model's mouth opens its answer."""
        for item, asked in self._asked.items():
            for turn in range(1 + len(asked.more)):
                answer = self._answers[item, turn]
                yield {
                    "item": item, "turn": turn, "prompt": self._prompts[item, turn],
                    "answer": (asked.opening if turn == 0 else "") + answer.text,
                    "finish_reason": answer.finish_reason, "tokens": answer.tokens,
                }  # fmt: skip

    def _prompt(self, item: int, turn: int) -> str:
        asked = self._asked[item]
        if asked.bare:
            return asked.messages[-1].content
        messages = list(asked.messages)
        for earlier, user in enumerate(asked.more[:turn]):
            messages += [Message("assistant", self._answers[item, earlier].text), user]
        return prompt_text(messages, tokenizer=self._tokenizer, template=self._template) + asked.opening
