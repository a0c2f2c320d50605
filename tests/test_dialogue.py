"""Asking turn after turn, and going on at the sample: an engine of the test's own says what it was asked."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mixgrid.benchmarks import Asked
from mixgrid.conversations import Message
from mixgrid.dialogue import Dialogue
from mixgrid.generation import Answer, Prompt
from mixgrid.kept_answers import KeptAnswers
from mixgrid.progress import silent
from mixgrid.store import Store

TOKENIZER = SimpleNamespace(eos_token="</s>")
KEY = "c0ffee" * 11


@dataclass
class Echo:
    """Answers with its prompt's length, the last prompt first; slowly, if asked to."""

    name: str = "echo"
    pause_s: float = 0.0
    asked: list[Prompt] = field(default_factory=list)

    def answers(
        self, prompts: Sequence[Prompt], *, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> Iterator[tuple[int, Answer]]:
        self.asked += prompts
        for index in reversed(range(len(prompts))):
            time.sleep(self.pause_s)
            yield index, Answer(f"{len(prompts[index].text)} of {max_new_tokens}", "stop", 3 + len(stop))


def user(text: str) -> Message:
    return Message("user", text)


def asked_of(store: Store, items: dict[int, Asked], engine: Echo) -> list[dict[str, object]]:
    dialogue = Dialogue(items, KeptAnswers(store, answering=KEY), tokenizer=TOKENIZER, template="plain")
    for turn in range(dialogue.turns):
        dialogue.answer_turn(turn, engine, max_new_tokens=9, progress=silent)
    return list(dialogue.rows())


def test_second_turn_follows_on_the_answer_to_the_first(tmp_path: Path) -> None:
    engine = Echo()
    items = {
        4: Asked(messages=(user("one?"),), more=(user("and?"),), temperature=0.7),
        2: Asked(messages=(user("two?"),), opening="So "),
        7: Asked(messages=(user("def f():"),), bare=True),
    }
    rows = asked_of(Store(str(tmp_path)), items, engine)
    assert [(row["item"], row["turn"], row["answer"]) for row in rows] == [
        (4, 0, "21 of 9"), (4, 1, "54 of 9"), (2, 0, "So 24 of 9"), (7, 0, "8 of 9"),
    ]  # fmt: skip
    assert [p.text for p in engine.asked] == [
        "USER: one? ASSISTANT:", "USER: two? ASSISTANT:So ", "def f():",
        "USER: one? ASSISTANT: 21 of 9</s>USER: and? ASSISTANT:",
    ]  # fmt: skip
    assert [p.temperature for p in engine.asked] == [0.7, 0, 0, 0.7]
    assert len({p.seed for p in engine.asked}) == 4


def test_killed_evaluation_goes_on_at_the_sample(tmp_path: Path) -> None:
    store, items = Store(str(tmp_path / "store")), {i: Asked(messages=(user("?" * (i + 1)),)) for i in range(200)}
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_dialogue import *\n"
        f"items = {{i: Asked(messages=(user('?' * (i + 1)),)) for i in range(200)}}\n"
        f"asked_of(Store({store.url!r}), items, Echo(pause_s=0.02))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    while not list(tmp_path.glob("store/answering/*/*.jsonl")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    kept = KeptAnswers(store, answering=KEY)
    assert 0 < len(kept.found) < 200
    engine = Echo()
    rows = asked_of(store, items, engine)
    assert len(engine.asked) == 200 - len(kept.found)
    assert rows == asked_of(Store(str(tmp_path / "other")), items, Echo())


def test_failing_engine_costs_no_answer_that_came_before(tmp_path: Path) -> None:
    class Failing(Echo):
        def answers(self, prompts: Sequence[Prompt], **options: Any) -> Iterator[tuple[int, Answer]]:
            yield from list(super().answers(prompts, **options))[:3]
            raise ConnectionError

    store, items = Store(str(tmp_path)), {i: Asked(messages=(user("?" * (i + 1)),)) for i in range(5)}
    with pytest.raises(ConnectionError):
        asked_of(store, items, Failing())
    assert sorted(KeptAnswers(store, answering=KEY).found) == [(2, 0), (3, 0), (4, 0)]


def test_damaged_part_is_told_and_asked_again(tmp_path: Path) -> None:
    told: list[str] = []
    store, items = Store(str(tmp_path), warn=told.append), {0: Asked(messages=(user("?"),))}
    kept = KeptAnswers(store, answering=KEY)
    kept.add(0, 0, Answer("kept", "stop", 1))
    kept.flush()
    assert asked_of(store, items, Echo())[0]["answer"] == "kept"
    store.write_atomically(f"answering/{KEY[:16]}/broken.jsonl", b'{"item": 0, "turn"')
    assert asked_of(store, items, Echo())[0]["answer"] == "kept"
    assert len(told) == 1
    assert "broken.jsonl" in told[0]
    kept.clear()
    assert KeptAnswers(store, answering=KEY).found == {}
