"""answer: a checkpoint's answers to a benchmark's prompts, or its losses on held-out responses.

    answers.parquet   item, turn (from 0), prompt, answer, finish_reason ("stop" or "length"), tokens
    losses.parquet    item, nats, tokens          (the benchmark `response_loss`)
    ledger            {"items": 200, "tokens": 5120, "truncated": 3}

The half of evaluation that needs a GPU; a changed grader grades the kept answers again. `item` is the row of the data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mixgrid.benchmarks import Benchmark, load_benchmarks
from mixgrid.errors import StepError
from mixgrid.generation.serving import ServerRuntime, serving
from mixgrid.identity import Runtime, Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

if TYPE_CHECKING:
    from mixgrid.generation import Engine

VERSION = 3


class AnswerSettings(Settings):
    """What is asked and how: `batch_size` can change answers in reduced precision, so it is identity, as `dtype` is."""

    benchmark: str
    template: str
    items: int | None = None
    max_new_tokens: int | None = None
    batch_size: int = 128
    engine: str = "transformers"
    dtype: str = "float32"


class AnswerRuntime(Runtime):
    """How a checkpoint is served, for the engine `server`."""

    server: ServerRuntime | None = None


def answer(settings: AnswerSettings, *, checkpoint: Step, data: Step, runtime: AnswerRuntime) -> Step:
    """The step for one checkpoint and benchmark; `data` is a download, or a tokenize step for a loss."""
    return Step(
        kind="answer", version=VERSION, settings=settings, inputs={"checkpoint": checkpoint, "data": data},
        label=f"{settings.benchmark}-{checkpoint.label}", title=f"answer {settings.benchmark} {checkpoint.label}",
        runtime=runtime,
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Generate or measure."""
    benchmark: Benchmark = load_benchmarks()[work.settings.benchmark]
    return _generate(work, benchmark) if benchmark.generates else _measure(work)


def _generate(work: Work, benchmark: Benchmark) -> dict[str, Any]:
    import pandas as pd

    from mixgrid.dialogue import Dialogue
    from mixgrid.grading.items import asked_rows, read_items
    from mixgrid.kept_answers import KeptAnswers

    order, store = work.origin()
    settings: AnswerSettings = work.settings
    items = read_items(work.one("data"))
    asked = {i: benchmark.ask(items[i]) for i in asked_rows(len(items), settings.items)}
    kept = KeptAnswers(store, answering=order.key)
    bare = all(a.bare for a in asked.values())
    with _engine(work, add_special_tokens=bare or settings.template != "chat") as (engine, tokenizer):
        dialogue = Dialogue(asked, kept, tokenizer=tokenizer, template=settings.template)
        for turn in range(dialogue.turns):
            dialogue.answer_turn(turn, engine, max_new_tokens=settings.max_new_tokens or 1, progress=work.progress)
    table = pd.DataFrame(dialogue.rows())
    table.to_parquet(work.folder / "answers.parquet", index=False)
    truncated = int((table["finish_reason"] == "length").sum())
    return {"items": len(asked), "tokens": int(table["tokens"].sum()), "truncated": truncated}


@contextmanager
def _engine(work: Work, *, add_special_tokens: bool) -> Iterator[tuple["Engine", Any]]:
    """The study's engine over the checkpoint, loaded here or served for as long as it answers, and its tokenizer."""
    from mixgrid.generation import make_engine
    from mixgrid.models import load_tokenizer, loaded_checkpoint

    checkpoint = work.one("checkpoint")
    settings: AnswerSettings = work.settings
    options: dict[str, Any] = {"batch_size": settings.batch_size, "add_special_tokens": add_special_tokens}
    if settings.engine != "server":
        model, tokenizer = loaded_checkpoint(checkpoint, dtype=settings.dtype)
        yield make_engine(settings.engine, tokenizer=tokenizer, model=model, **options), tokenizer
        return
    if work.runtime is None or work.runtime.server is None:
        raise StepError("generation.engine server: no server is given; add `server` to the runtime file")
    folder = checkpoint.local_folder()
    tokenizer = load_tokenizer(folder)
    with serving(work.runtime.server, folder) as server:
        yield make_engine("server", tokenizer=tokenizer, server=server, **options), tokenizer


def finished(work: Work) -> None:
    """The answers are an artifact now."""
    from mixgrid.kept_answers import KeptAnswers

    if load_benchmarks()[work.settings.benchmark].generates:
        order, store = work.origin()
        KeptAnswers(store, answering=order.key).clear()


def _measure(work: Work) -> dict[str, Any]:
    import pandas as pd

    from mixgrid.models import loaded_checkpoint
    from mixgrid.tokens import read_examples
    from mixgrid.training.measure import response_losses

    model, _ = loaded_checkpoint(work.one("checkpoint"))
    examples = read_examples(work.one("data"), "held_out")
    nats, tokens = response_losses(model, examples, progress=work.progress)
    table = pd.DataFrame({"item": range(len(nats)), "nats": nats, "tokens": tokens})
    table.to_parquet(work.folder / "losses.parquet", index=False)
    return {"items": len(table), "tokens": int(table["tokens"].sum())}


KIND = Kind(
    name="answer", version=VERSION, settings=AnswerSettings, runtime=AnswerRuntime, make=make, finished=finished
)
