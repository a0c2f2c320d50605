"""mixgrid's own engine on a GPU: the same curves as on the CPU, and the ledger of stages at LLaMA shapes.

    python tests/bench/gpu_engine.py --models 1b,7b --json figures.json      one GPU, mixgrid installed
    python tests/bench/gpu_engine.py --toy                                   the same checks from CPU to CPU

The checks train a toy on the CPU and, in every way that the runtime offers, on the device: the curves have to agree, in
fp32 to rounding. Then each shape trains for a few steps with everything found automatically; MFU and the memory
estimate are the ledger's own. 7b in fp32 with autocast needs 120 GB. Status 1 if a check failed.
"""

import argparse
import gc
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from gpu import SHAPES, sample_lengths
from transformers import LlamaConfig, LlamaForCausalLM

from mixgrid.errors import StepError
from mixgrid.generation import generate
from mixgrid.models import train_tokenizer
from mixgrid.progress import silent
from mixgrid.recipe import Adapter, Recipe
from mixgrid.runtime import Interval, TrainingRuntime
from mixgrid.store import Store
from mixgrid.tokens import MixedExamples
from mixgrid.training.measure import response_losses
from mixgrid.training.snapshots import Snapshots
from mixgrid.training.stage import Trained, train_stage

TOY = SHAPES["toy"] | {"vocab_size": 300}
CHECKED_STEPS = 8
EXACT, HALF = 1e-4, 2e-2
"""How far a loss may lie from the CPU's in fp32, relatively: in fp32, and in bf16."""


class Stopped(Exception):
    """What stands for a kill."""


def main() -> int:
    """Check, measure, print."""
    options = _options()
    device = "cpu" if options.toy else "cuda"
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    with _on(device):
        checks = []
        for check in (curves, resumed, measured, answered, *([squeezed] if device == "cuda" else [])):
            for what, fine in check(device):
                checks.append((what, fine))
                print("ok " if fine else "BAD", what, flush=True)
        ledgers = {}
        for shape in [] if options.toy else options.models.split(","):
            ledgers[shape] = ledger(shape, steps=options.steps)
            print(shape, json.dumps(ledgers[shape]), flush=True)
    problems = [what for what, fine in checks if not fine]
    if options.json:
        name = "cpu" if options.toy else torch.cuda.get_device_name()
        document = {"device": name, "torch": torch.__version__, "problems": problems, "ledgers": ledgers}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return int(bool(problems))


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--toy", action="store_true", default=not torch.cuda.is_available())
    options.add_argument("--models", default="1b")
    options.add_argument("--steps", type=int, default=12, help="optimiser steps of 128 examples")
    options.add_argument("--json", type=Path)
    return options.parse_args()


@contextmanager
def _on(device: str) -> Iterator[None]:
    """Where mixgrid computes; accelerate would keep its first device for ever."""
    AcceleratorState._reset_state(reset_partial_state=True)
    before = os.environ.get("MIXGRID_DEVICE")
    os.environ["MIXGRID_DEVICE"] = device
    try:
        yield
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        os.environ.pop("MIXGRID_DEVICE") if before is None else os.environ.update(MIXGRID_DEVICE=before)


def mixture(count: int, *, vocabulary: int) -> MixedExamples:
    """Random tokens at real lengths, the same ones every time."""
    chance, draw = random.Random(0), np.random.default_rng(0)
    drawn = islice(sample_lengths(chance), count)
    return MixedExamples.in_memory(
        [(draw.integers(3, vocabulary, n, dtype=np.int32), np.arange(n) >= n - response) for n, response in drawn]
    )


def recipe(**changes: Any) -> Recipe:
    """Eight steps of 16 examples, unless changed."""
    given: dict[str, Any] = {"budget": {"steps": CHECKED_STEPS}, "batch_size": 16, "peak_learning_rate": 1e-3}
    return Recipe.model_validate(given | {"warmup_ratio": 0.1, "schedule": "cosine"} | changes)


def toy() -> Any:
    """Random weights, the same ones every time."""
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**TOY, bos_token_id=1, eos_token_id=2, pad_token_id=0))


def train(chosen: Recipe, runtime: TrainingRuntime, *, device: str, **given: Any) -> Trained:
    """A toy's stage on a device."""
    with _on(device):
        return train_stage(
            toy(), mixture(96, vocabulary=300), recipe=chosen, seed=0, runtime=runtime, **given
        )  # fmt: skip


def curves(device: str) -> Iterator[tuple[str, bool]]:
    """Every way to train, against the CPU in fp32."""
    adapter = Adapter(name="lora", rank=4)
    ways: dict[str, tuple[dict[str, Any], dict[str, Any], float]] = {
        "fp32": ({}, {}, EXACT),
        "fp32, rows of 512 tokens": ({}, {"row_tokens": 512}, EXACT),
        "fp32, activation checkpointing": ({}, {"activation_checkpointing": True}, EXACT),
        "fp32, mean over examples": ({"loss_average": "example"}, {}, EXACT),
        "fp32, adapter lora": ({"adapter": adapter}, {}, EXACT),
        "bf16": ({"precision": "bf16"}, {}, HALF),
        "bf16, rows of 512 tokens": ({"precision": "bf16"}, {"row_tokens": 512}, HALF),
        "bf16, activation checkpointing": ({"precision": "bf16"}, {"activation_checkpointing": True}, HALF),
    }
    if device == "cuda":
        ways["bf16, compile"] = ({"precision": "bf16"}, {"compile": True}, HALF)
    for name, (changes, runtime, tolerance) in ways.items():
        expected = train(recipe(**(changes | {"precision": "fp32"})), TrainingRuntime(), device="cpu").curve.loss
        trained = train(recipe(**changes), TrainingRuntime(**runtime), device=device)
        worst, fine = apart(trained.curve.loss, expected), trained.ledger["device"] == device
        yield f"{name}: {worst:.1e} from the CPU's curve", fine and worst <= tolerance


def apart(losses: Sequence[float], expected: Sequence[float]) -> float:
    """The largest relative difference."""
    assert len(losses) == len(expected)
    return max(abs(a - b) / abs(b) for a, b in zip(losses, expected, strict=True))


def resumed(device: str) -> Iterator[tuple[str, bool]]:
    """Stopped before its end is kept, a stage goes on from its newest snapshot."""
    runtime, told = TrainingRuntime(snapshot_every=Interval(steps=3)), []
    expected = train(recipe(), runtime, device=device).curve.loss

    def stop(share: float, _: str) -> None:
        if share >= 5 / CHECKED_STEPS:
            raise Stopped

    with tempfile.TemporaryDirectory() as folder:
        snapshots = Snapshots(
            Store(folder), training="0" * 64, runtime=runtime, progress=lambda _, text: told.append(text)
        )
        with suppress(Stopped):
            train(recipe(), runtime, device=device, snapshots=snapshots, progress=stop)
        losses = train(recipe(), runtime, device=device, snapshots=snapshots).curve.loss
    again, worst = any("goes on from the snapshot" in text for text in told), apart(losses, expected)
    yield f"resumed: {worst:.1e} from the uninterrupted curve", again and worst <= EXACT


def measured(device: str) -> Iterator[tuple[str, bool]]:
    """Losses of given responses."""
    examples, model = mixture(40, vocabulary=300).sources[0], toy().eval()
    expected, _ = response_losses(model, examples, progress=silent)
    nats, _ = response_losses(model.to(device), examples, progress=silent)
    yield f"response losses: {(worst := apart(nats, expected)):.1e} from the CPU's", worst <= EXACT


def answered(device: str) -> Iterator[tuple[str, bool]]:
    """Greedy answers in fp32; transformers' continuous batching too, which needs CUDA."""
    tokenizer, model = train_tokenizer(iter([""]), vocabulary_size=300), toy().eval()
    prompts = [f"{n} + {n * n} = " * (1 + n % 4) for n in range(40)]
    options: dict[str, Any] = {"max_new_tokens": 32, "batch_size": 16}
    expected = generate(model, tokenizer, prompts, **options)
    model = model.to(device)
    for engine in ("transformers", "continuous") if device == "cuda" else ("transformers",):
        answers = generate(model, tokenizer, prompts, engine=engine, **options)
        same = sum(a == b for a, b in zip(answers, expected, strict=True))
        yield f"engine {engine}: {same} of {len(prompts)} answers are the CPU's", same >= 0.9 * len(prompts)


def squeezed(device: str) -> Iterator[tuple[str, bool]]:
    """Rows that do not fit become smaller, and the curve stays as it is."""
    shape = TOY | {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8, "initializer_range": 0.02}
    examples, runtime = mixture(512, vocabulary=300), TrainingRuntime(row_tokens=32_768)
    chosen = recipe(precision="bf16", budget={"steps": 2}, batch_size=256)
    found = []
    for share in (1.0, 4e9 / torch.cuda.mem_get_info()[1]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**shape))
        torch.cuda.set_per_process_memory_fraction(share)
        found.append(train_stage(model, examples, recipe=chosen, seed=0, runtime=runtime))
        torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.0)
    rows, (free, limited) = [t.ledger["row_tokens"] for t in found], (t.curve.loss for t in found)
    worst = apart(limited, free)
    yield (
        f"in 4 GB on {device}: rows of {rows[1]} tokens, {worst:.1e} from the curve of {rows[0]}",
        (rows[1] < rows[0] and worst <= HALF),
    )


def ledger(shape: str, *, steps: int) -> dict[str, Any]:
    """A stage in bf16 with everything found automatically."""
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape] | {"dtype": torch.float32})).float()
    model = model.cpu()  # where a stage loads it; a CPU draws billions of random numbers for minutes
    torch.cuda.empty_cache()
    examples = mixture(128 * steps, vocabulary=SHAPES[shape]["vocab_size"])
    chosen = recipe(precision="bf16", budget={"steps": steps}, batch_size=128, peak_learning_rate=2e-5)
    try:
        trained = train_stage(model, examples, recipe=chosen, seed=0)
    except StepError as error:  # 7b on a smaller GPU
        return {"error": str(error)}
    figures = {**trained.ledger, "losses": trained.curve.loss[:3]}
    del model, trained
    gc.collect()
    torch.cuda.empty_cache()
    return figures


if __name__ == "__main__":
    sys.exit(main())
