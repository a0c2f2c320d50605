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
    """What is asked and how: `batch_size` can change answers in reduced precision, so it is identity."""

    benchmark: str
    template: str
    items: int | None = None
    max_new_tokens: int | None = None
    batch_size: int = 128


def answer(settings: AnswerSettings, *, checkpoint: Step, data: Step) -> Step:
    """The step for one checkpoint and benchmark; `data` is a download, or a tokenize step for a loss."""
    return Step(
        kind="answer", version=VERSION, settings=settings, inputs={"checkpoint": checkpoint, "data": data},
        label=f"{settings.benchmark}-{checkpoint.label}", title=f"answer {settings.benchmark} {checkpoint.label}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Generate or measure."""
    benchmark: Benchmark = load_benchmarks()[work.settings.benchmark]
    return _generate(work) if benchmark.generates else _measure(work)


def _generate(work: Work) -> dict[str, Any]:
    import pandas as pd

    from mixgrid.benchmarks.items import asked_rows, read_items
    from mixgrid.generation import generate
    from mixgrid.models import loaded_checkpoint
    from mixgrid.templates import prompt_text

    model, tokenizer = loaded_checkpoint(work.one("checkpoint"))
    items = read_items(work.one("data"))
    asked = asked_rows(len(items), work.settings.items)
    prompts = [prompt_text(items[i].messages[:-1], tokenizer=tokenizer, template=work.settings.template) for i in asked]
    answers = generate(
        model,
        tokenizer,
        prompts,
        add_special_tokens=work.settings.template != "chat",
        max_new_tokens=work.settings.max_new_tokens,
        batch_size=work.settings.batch_size,
        progress=work.progress,
    )
    table = pd.DataFrame(
        {
            "item": asked,
            "turn": 0,
            "prompt": prompts,
            "answer": [a.text for a in answers],
            "finish_reason": [a.finish_reason for a in answers],
            "tokens": [a.tokens for a in answers],
        }
    )
    table.to_parquet(work.folder / "answers.parquet", index=False)
    truncated = int((table["finish_reason"] == "length").sum())
    return {"items": len(table), "tokens": int(table["tokens"].sum()), "truncated": truncated}


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


KIND = Kind(name="answer", version=VERSION, settings=AnswerSettings, make=make)
