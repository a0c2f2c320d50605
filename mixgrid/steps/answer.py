"""answer: a checkpoint's answers to a benchmark's prompts, or its losses on held-out responses.

    answers.parquet   item, turn (from 0), prompt, answer, finish_reason ("stop" or "length"), tokens
    losses.parquet    item, nats, tokens          (the benchmark `response_loss`)
    ledger            {"items": 200, "tokens": 5120, "truncated": 3}

The half of evaluation that needs a GPU; a changed grader grades the kept answers again. `item` is the row of the data.
"""

from typing import Any

from mixgrid.benchmarks import Benchmark, load_benchmarks
from mixgrid.identity import Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 2


class AnswerSettings(Settings):
    """What is asked and how: `batch_size` can change answers in reduced precision, so it is identity, as `dtype` is."""

    benchmark: str
    template: str
    items: int | None = None
    max_new_tokens: int | None = None
    batch_size: int = 128
    engine: str = "transformers"
    dtype: str = "float32"


def answer(settings: AnswerSettings, *, checkpoint: Step, data: Step) -> Step:
    """The step for one checkpoint and benchmark; `data` is a download, or a tokenize step for a loss."""
    return Step(
        kind="answer", version=VERSION, settings=settings, inputs={"checkpoint": checkpoint, "data": data},
        label=f"{settings.benchmark}-{checkpoint.label}", title=f"answer {settings.benchmark} {checkpoint.label}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Generate or measure."""
    benchmark: Benchmark = load_benchmarks()[work.settings.benchmark]
    return _generate(work, benchmark) if benchmark.generates else _measure(work)


def _generate(work: Work, benchmark: Benchmark) -> dict[str, Any]:
    import pandas as pd

    from mixgrid.dialogue import Dialogue
    from mixgrid.generation import make_engine
    from mixgrid.grading.items import asked_rows, read_items
    from mixgrid.kept_answers import KeptAnswers
    from mixgrid.models import loaded_checkpoint

    order, store = work.origin()
    settings: AnswerSettings = work.settings
    model, tokenizer = loaded_checkpoint(work.one("checkpoint"), dtype=settings.dtype)
    items = read_items(work.one("data"))
    asked = {i: benchmark.ask(items[i]) for i in asked_rows(len(items), settings.items)}
    kept = KeptAnswers(store, answering=order.key)
    bare = all(a.bare for a in asked.values())
    engine = make_engine(
        settings.engine,
        model=model,
        tokenizer=tokenizer,
        batch_size=settings.batch_size,
        add_special_tokens=bare or settings.template != "chat",
    )
    dialogue = Dialogue(asked, kept, tokenizer=tokenizer, template=settings.template)
    for turn in range(dialogue.turns):
        dialogue.answer_turn(turn, engine, max_new_tokens=settings.max_new_tokens or 1, progress=work.progress)
    table = pd.DataFrame(dialogue.rows())
    table.to_parquet(work.folder / "answers.parquet", index=False)
    truncated = int((table["finish_reason"] == "length").sum())
    return {
        "items": len(asked),
        "tokens": int(table["tokens"].sum()),
        "truncated": truncated,
        "kept": dialogue.kept_before,
    }


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


KIND = Kind(name="answer", version=VERSION, settings=AnswerSettings, make=make, finished=finished)
