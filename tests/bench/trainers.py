"""Useful tokens a second of mixgrid and of what users would pick instead: same model, data, batches and machine.

    MIXGRID_TEST_DATA=../shared/data python tests/bench/trainers.py --json trainers.json

    | contender | useful tokens/s | mixgrid is N x as fast | same batches | first three losses | steps |
    | mixgrid | 4,072 | 1.00 | yes | 8.3163, 7.9459, 7.4041 | 20 |
    | Trainer, padded to the longest of the batch | 2,023 | 2.01 | yes | 8.3163, 7.9459, 7.4041 | 20 |
    trainer: 2.01 x, the bar is 2 x: met

A 4-layer LLaMA of hidden size 256 with random weights learns 1,500 GSM8K and 500 Code Alpaca examples, 16 a step,
loss on the responses. Each contender has a fresh process, one after the other. Padding is not useful. Two steps warm
up; "N x as fast" is over the steps that both timed. A packed row is another batch: its tokens/s is over its own
steps. Status 1 if a contender that computes the same thing has other losses in the first three steps (relative 1e-4).
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from trainers_peers import WARM_UP, Timeline, train_peer

from mixgrid.conversations import Conversation
from mixgrid.recipe import Budget, Recipe
from mixgrid.tokens import Arrays, Examples, MixedExamples
from mixgrid.warm import _ENVIRONMENT

SHAPE = {"hidden_size": 256, "intermediate_size": 688, "layers": 4, "heads": 8, "vocabulary_size": 4096}
BATCH_SIZE = 16
SOURCES = (
    ("gsm8k/train.jsonl", "query_response", 1500),
    ("code_alpaca/code_alpaca_2k.json", "alpaca", 500),
)
TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Contender:
    """`share`: of the steps, for slow ones. `exact`: computes mixgrid's loss. `bar`: mixgrid is to be N x as fast."""

    title: str
    share: float = 1.0
    exact: bool = False
    bar: float | None = None

    def steps(self, asked: int) -> int:
        """Optimiser steps, the warm-up's included."""
        return WARM_UP + max(1, round(asked * self.share))


CONTENDERS = {
    "mixgrid": Contender(title="mixgrid", exact=True),
    "trl": Contender(title="TRL SFTTrainer, its defaults (bf16, gradient checkpointing)", bar=2.5),
    "trl_fp32": Contender(title="TRL SFTTrainer, fp32, no gradient checkpointing", exact=True),
    "trl_packed": Contender(title="TRL SFTTrainer, `packing=True`, 4 rows of 1,024 a step, 4 passes"),
    "trainer": Contender(title="Trainer, padded to the longest of the batch", exact=True, bar=2),
    "trainer_micro": Contender(title="Trainer, padded to the longest of 4, 4 passes a step", exact=True),
    "pad_512": Contender(title="Trainer, padded to 512", share=0.25, exact=True, bar=5),
    "pad_2048": Contender(title="Trainer, padded to 2,048", share=0.1, exact=True, bar=40),
}


def main() -> int:
    """Prepare the data, run the contenders, print the table."""
    given = _options().parse_args()
    if given.child:
        _child(given.child, given.folder, steps=given.steps, threads=given.threads)
        return 0
    if not (data := os.environ.get("MIXGRID_TEST_DATA")):
        print("MIXGRID_TEST_DATA is not set; give the folder with gsm8k/ and code_alpaca/", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="mixgrid-trainers-") as folder:
        lengths = _prepare(Path(data), Path(folder), template=given.template, max_length=given.max_length)
        timelines = _run_all(Path(folder), given)
    print(
        f"{', '.join(f'{name} {version(name)}' for name in ('torch', 'transformers', 'trl'))}; threads: {given.threads}"
    )
    print(f"{len(lengths):,} examples, mean {lengths.mean():.0f} tokens, longest {lengths.max()}; {BATCH_SIZE} a step")
    print(f"mixgrid: {timelines['mixgrid'].facts}\n")
    print(*table(timelines), "", *bars(timelines), *disturbances(timelines, threads=given.threads), sep="\n")
    exact = {name: timeline for name, timeline in timelines.items() if CONTENDERS[name].exact}
    wrong = [name for name, t in exact.items() if not t.agrees_with(timelines["mixgrid"], tolerance=TOLERANCE)]
    print(f"losses that differ from mixgrid's: {', '.join(wrong) or 'none'}")
    if given.json:
        figures = {name: asdict(t) | {"tokens_per_second": t.tokens_per_second()} for name, t in timelines.items()}
        given.json.write_text(json.dumps({"options": vars(given), "contenders": figures}, default=str, indent=1))
    return 1 if wrong else 0


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=_steps, default=20, help="timed steps (slow contenders: a share of them)")
    options.add_argument("--only", type=_names, default=list(CONTENDERS), help="such as mixgrid,trl")
    options.add_argument("--rounds", type=int, default=1, help="run all so often, keep each one's fastest")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--template", choices=("vicuna", "plain"), default="plain")
    options.add_argument("--max-length", type=int, default=2048)
    same_allocator = "peers keep freed memory too, which mixgrid sets for its workers and a user of theirs does not"
    options.add_argument("--same-allocator", action="store_true", help=same_allocator)
    options.add_argument("--json", type=Path)
    options.add_argument("--child", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return options


def _steps(text: str) -> int:
    most = sum(rows for *_, rows in SOURCES) // BATCH_SIZE
    if not 1 <= int(text) <= most:  # one epoch: peers do not shuffle the second as mixgrid does
        raise argparse.ArgumentTypeError(f"{text} is outside 1 to {most}")
    return int(text)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(CONTENDERS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(CONTENDERS)}")
    return ["mixgrid", *(name for name in names if name != "mixgrid")]


def _prepare(data: Path, folder: Path, *, template: str, max_length: int) -> Any:
    """Write tokenizer and tokenised examples for all contenders; returns the examples' lengths."""
    from mixgrid.models import train_tokenizer
    from mixgrid.templates import encode, vicuna_text
    from mixgrid.tokens import write_examples

    conversations = [c for path, form, rows in SOURCES for c in itertools.islice(_read(data / path, form), rows)]
    texts = (vicuna_text(c.messages, template=template, end_token="") for c in conversations)
    tokenizer = train_tokenizer(texts, vocabulary_size=SHAPE["vocabulary_size"])
    tokenizer.save_pretrained(folder / "tokenizer")
    examples = list(encode(conversations, tokenizer=tokenizer, template=template, max_length=max_length))
    write_examples(folder, "rows", examples)
    return np.array([len(example.tokens) for example in examples])


def _read(path: Path, form: str) -> Iterator[Conversation]:
    from mixgrid.sources.files import read_rows
    from mixgrid.sources.forms import Normalised, normalise

    rows = (normalise(form, row, origin=origin) for origin, row in enumerate(read_rows(str(path))))
    return (row.conversation for row in rows if isinstance(row, Normalised))


def _run_all(folder: Path, given: argparse.Namespace) -> dict[str, Timeline]:
    best: dict[str, Timeline] = {}
    for name in given.only * given.rounds:
        timeline = _run(name, folder, steps=CONTENDERS[name].steps(given.steps), given=given)
        print(f"{name}: {timeline.tokens_per_second():,.0f} tokens/s", file=sys.stderr, flush=True)
        if name not in best or timeline.tokens_per_second() > best[name].tokens_per_second():
            best[name] = timeline
    return best


def _run(name: str, folder: Path, *, steps: int, given: argparse.Namespace) -> Timeline:
    """One contender in a process of its own; mixgrid in the environment that it gives its workers."""
    threads = given.threads
    allocator = _ENVIRONMENT if name == "mixgrid" or given.same_allocator else {}
    environment = os.environ | allocator | {
        "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false",
        "MIXGRID_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error",
        "TQDM_DISABLE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip
    command = [sys.executable, __file__, "--child", name, "--folder", folder, "--steps", steps, "--threads", threads]
    ended = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{name} ended with status {ended.returncode}:\n{ended.stderr[-3000:]}")
    return Timeline(**json.loads((folder / f"{name}.json").read_text()))


def _child(name: str, folder: Path, *, steps: int, threads: int) -> None:
    """Train as contender `name`; leaves its timeline in the folder."""
    import torch

    from mixgrid.models import load_tokenizer, new_llama
    from mixgrid.study import LlamaShape
    from mixgrid.training.order import example_order

    torch.set_num_threads(threads)
    tokenizer = load_tokenizer(folder / "tokenizer")
    model = new_llama(LlamaShape(**SHAPE), tokenizer=tokenizer, seed=0)
    parts = ("tokens", "mask", "offsets", "truncated")
    examples = Examples(*(np.load(folder / f"rows.{part}.npy") for part in parts))
    recipe = Recipe(
        budget=Budget(steps=steps), batch_size=BATCH_SIZE, peak_learning_rate=1e-3, warmup_ratio=0, schedule="constant"
    )
    if name == "mixgrid":
        timeline = train_mixgrid(examples, model=model, recipe=recipe, steps=steps)
    else:
        ordered = [examples[int(i)] for i in example_order(len(examples), seed=0, epoch=0)]
        timeline = train_peer(
            name, ordered, model=model, tokenizer=tokenizer, recipe=recipe, steps=steps, folder=folder / "out"
        )
    (folder / f"{name}.json").write_text(json.dumps(asdict(timeline)))


@dataclass(frozen=True)
class _Watched(MixedExamples):
    """Notes when each example was asked for (clock, CPU time): the first of a batch is where a step begins."""

    asked: list[tuple[float, float]] = field(default_factory=list)

    def __getitem__(self, index: int) -> Arrays:
        self.asked.append((time.monotonic(), time.process_time()))
        return super().__getitem__(index)


def train_mixgrid(examples: Examples, *, model: Any, recipe: Recipe, steps: int) -> Timeline:
    """Train with mixgrid; a step ends where the next one begins."""
    from mixgrid.training.order import BatchOrder
    from mixgrid.training.stage import train_stage

    count = len(examples)
    watched = _Watched([examples], np.zeros(count, dtype=np.int16), np.arange(count))
    ended: list[tuple[float, float]] = []

    def progress(share: float, _: str) -> None:
        if share == 1:
            ended.append((time.monotonic(), time.process_time()))

    trained = train_stage(model, watched, recipe=recipe, seed=0, progress=progress)
    order = BatchOrder(examples=count, recipe=recipe, seed=0)
    marks = [*watched.asked[: steps * BATCH_SIZE : BATCH_SIZE][1:], *ended]
    return Timeline(
        losses=trained.curve.loss,
        tokens=[sum(len(examples[int(i)][0]) for i in order.batch(step)) for step in range(steps)],
        ends=[clock for clock, _ in marks],
        cpu_ends=[cpu for _, cpu in marks],
        facts={"engine": _engine(model, watched.longest), "row_tokens": trained.ledger["row_tokens"]},
    )


def _engine(model: Any, longest: int) -> str:
    from mixgrid.training.lean_engine import LONGEST, fits

    return "lean" if longest <= LONGEST and fits(model) is None else "general"


def table(timelines: dict[str, Timeline]) -> list[str]:
    """Markdown: a row a contender."""
    rows = ["| contender | useful tokens/s | mixgrid is N x as fast | same batches | first three losses | steps |"]
    rows += ["|---|---|---|---|---|---|"]
    for name, timeline in timelines.items():
        speed, times = timeline.tokens_per_second(), timelines["mixgrid"].times_as_fast_as(timeline)
        losses = ", ".join(f"{loss:.4f}" for loss in timeline.losses[:3])
        same = "yes" if timeline.has_batches_of(timelines["mixgrid"]) else "no"
        rows.append(f"| {CONTENDERS[name].title} | {speed:,.0f} | {times:.2f} | {same} | {losses} | {timeline.timed} |")
    return rows


def bars(timelines: dict[str, Timeline]) -> list[str]:
    """Whether mixgrid is as many times as fast as it means to be."""
    lines = []
    for name, timeline in timelines.items():
        if (bar := CONTENDERS[name].bar) is not None:
            times = timelines["mixgrid"].times_as_fast_as(timeline)
            lines.append(f"{name}: {times:.2f} x, the bar is {bar} x: {'met' if times >= bar else 'NOT met'}")
    return lines


def disturbances(timelines: dict[str, Timeline], *, threads: int) -> list[str]:
    """A line for each contender that had to share its cores: its clock time says little."""
    return [
        f"{name} had {timeline.cpu_share / threads:.0%} of its cores: run again on an idle machine"
        for name, timeline in timelines.items()
        if timeline.cpu_share < 0.95 * threads
    ]


if __name__ == "__main__":
    sys.exit(main())
