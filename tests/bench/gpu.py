"""Tokens/s, MFU and peak memory of full fine-tuning at LLaMA shapes: flattened rows against padded micro-batches.

    python gpu.py --models 1b,7b --json figures.json     one GPU; copy this file there
    python gpu.py --toy                                  the CPU (the default without CUDA): a toy in fp32

It needs torch>=2.11 and transformers>=5.23 only. Its table, on one H200 with torch 2.11:

    model way       at once       checkpointing states       useful tokens/s   MFU peak GB padding first losses
    1b    flattened 16384 tokens  off           fp32 17.6 GB           46111 28.4%    58.0      0% 10.7749 10.7831 ...
    1b    padded    8 examples    off           fp32 17.6 GB            6352  3.9%    32.6     43% 10.7750 10.7831 ...
    7b    flattened 16384 tokens  off           bf16 53.9 GB           11437 45.6%   140.1      0% 11.2080 11.2090 ...
    7b    padded    8 examples    off           bf16 53.9 GB            4791 19.1%    81.9     43% 11.2080 11.2082 ...

Both ways see the same global batches and take the same optimiser steps; a step's loss is the sum over the response
tokens of its global batch, divided by their number. `flattened` is mixgrid's way: examples end to end, attention inside
each, the output head on response tokens only. `padded` is the loop of transformers' Trainer: micro-batches padded to
their longest, sdpa with a mask, model(labels=...). Status 1 unless the first losses of both agree, and at a toy's shape
their gradients too, and no example sees another.

Weights are random. 1b has fp32 weights and bf16 autocast; 7b has weights, gradients and AdamW's moments all in bf16
(54 GB, to fit one 80 GB GPU): small updates are rounded away, which doesn't matter to speed. Cutting batches is outside
the clock in both ways; inside a step nothing waits for the GPU but transformers, which looks at each padding mask.
"""

import argparse
import gc
import inspect
import json
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, cycle, islice, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import AttentionInterface, AutoModelForCausalLM, LlamaConfig

SHAPES: dict[str, dict[str, Any]] = {
    "toy": {
        "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 512, "dtype": torch.float32,
        "initializer_range": 0.2,  # wide enough that attention shows in the loss
    },
    "1b": {
        "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
        "num_key_value_heads": 4, "vocab_size": 32_000, "dtype": torch.float32,
    },
    "7b": {
        "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "vocab_size": 32_000, "dtype": torch.bfloat16,
    },
}  # fmt: skip
PEAK_TFLOPS = {"B200": 2250.0, "H200": 989.4, "H100 PCIe": 756.5, "H100": 989.4, "A100": 312.0, "L40S": 362.1}
"""A part of the device's name -> dense bf16, from the maker's data sheets."""
MEAN_TOKENS, SPREAD, RESPONSE_SHARES = 155, 0.42, (0.4, 0.8)
"""1,500 GSM8K and 500 Code Alpaca examples with a LLaMA-like tokenizer have 155 tokens on average, about 60 % of them
response. The spread is the standard deviation of the logarithm of their lengths in characters."""
GROUPED_QUERY = "enable_gqa" in inspect.signature(varlen_attn).parameters
"""torch 2.11 lacks it, and `linear_cross_entropy`: keys and values are repeated there, and all logits made at once."""
FIRST_STEPS = 3
LOSS_TOLERANCE = {"cpu": 1e-5, "cuda": 2e-2}
"""Relative. Random weights hardly attend, so that in bf16 equal losses prove little: the toy's gradients prove more."""
GRADIENT_TOLERANCE = {"cpu": 1e-5, "cuda": 1e-1}
"""Relative. Emulated on a CPU, bf16 gave 0.008, and attention across examples 1.0."""
RATE = {"cpu": 1e-3, "cuda": 2e-5}


@dataclass(frozen=True)
class Example:
    """The last `response` tokens are learnt."""

    tokens: list[int]
    response: int


@dataclass(frozen=True)
class Row:
    """Examples end to end, example i from bounds[i] on; the logits at `places_N` predict `targets_N`."""

    tokens: Tensor
    positions: Tensor
    bounds: Tensor
    longest: int
    places_N: Tensor
    targets_N: Tensor


@dataclass(frozen=True)
class MicroBatch:
    """Examples one below the other, filled up on the right; all B x T."""

    tokens: Tensor
    mask: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Way:
    """How a global batch is cut into pieces of `size` units, and what a piece adds to the batch's loss."""

    name: str
    attention: str
    unit: str
    cut: Callable[..., list[Any]]
    loss: Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the table. Tokens, seconds and rates are of the measured steps, `losses` of all."""

    model: str
    way: str
    size: int
    unit: str
    checkpointing: bool
    compiled: bool
    out_of_memory: bool = False
    states: str = "-"
    tokens: int = 0
    response_tokens: int = 0
    computed_tokens: int = 0
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    mfu: float | None = None
    peak_gb: float | None = None
    losses: tuple[float, ...] = ()


def main() -> int:
    """Check, measure, print; the status is 1 if a check failed."""
    options = _options()
    device = torch.device("cpu" if options.toy else "cuda")
    # pieces differ in size from step to step; without it the allocator's blocks fit ever fewer of them
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    AttentionInterface.register("segments", segment_attention)
    problems, results = check_toy(device), []
    for shape in ["toy"] if options.toy else options.models:
        batches = draw(options, vocabulary=SHAPES[shape]["vocab_size"])
        pair = [measure(shape, way=way, batches=batches, options=options, device=device) for way in WAYS]
        problems += compare(pair, tolerance=LOSS_TOLERANCE[device.type])
        results += pair
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"{name}, torch {torch.__version__}, {options.steps} steps of {options.batch_size} examples, compiled: ", end=""
    )
    print("layers" if options.compile else "nothing", table(results), sep="\n")
    print(*(problems or ["checks passed: same losses, same gradients, no example sees another"]), sep="\n")
    if options.json:
        document = {"device": name, "torch": torch.__version__, "problems": problems, "results": results}
        options.json.write_text(json.dumps(document, indent=1, default=asdict), encoding="utf-8")
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="1b,7b", help="of 1b and 7b")
    parser.add_argument("--steps", type=int, default=8, help="measured steps")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    parser.add_argument("--batch-size", type=int, default=128, help="examples of a global batch")
    parser.add_argument("--row-tokens", type=int, default=16_384, help="flattened: tokens of a row, at most")
    parser.add_argument("--micro-batch", type=int, default=8, help="padded: examples at once")
    parser.add_argument("--checkpointing", choices=("auto", "on", "off"), default="auto", help="of activations")
    parser.add_argument("--compile", action="store_true", help="compile each layer, in both ways")
    parser.add_argument("--toy", action="store_true", default=not torch.cuda.is_available(), help="on the CPU")
    parser.add_argument("--lengths", type=Path, help="a file instead of the sampler: 'length response_length' a line")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    options.models = options.models.split(",")
    if unknown := [name for name in options.models if name not in SHAPES]:
        parser.error(f"--models: {unknown[0]!r} is not among {', '.join(SHAPES)}")
    if min(options.steps, options.batch_size, options.row_tokens, options.micro_batch, options.warmup + 1) < 1:
        parser.error("steps, batch size, row tokens and micro batch are at least 1, warm-up steps at least 0")
    try:
        options.lengths = read_lengths(options.lengths) if options.lengths else None
    except (OSError, ValueError) as error:
        parser.error(f"--lengths: {error}")
    return options


def read_lengths(path: Path) -> list[tuple[int, int]]:
    """Pairs of an example's tokens and its response's. Raises ValueError with the line that isn't one."""
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        length, response = map(int, line.split()) if len(line.split()) == 2 else (0, 0)
        if not 0 < response < length:
            raise ValueError(f"{path}, line {number}: {line!r} is not 'length response_length', 0 < response < length")
        pairs.append((length, response))
    if not pairs:
        raise ValueError(f"{path} is empty; a line is 'length response_length', such as 155 93")
    return pairs


def sample_lengths(chance: random.Random) -> Iterator[tuple[int, int]]:
    """Pairs like real ones, without end."""
    while True:
        length = min(max(round(chance.lognormvariate(math.log(MEAN_TOKENS) - SPREAD**2 / 2, SPREAD)), 16), 2048)
        yield length, round(length * chance.uniform(*RESPONSE_SHARES))


def draw(options: argparse.Namespace, *, vocabulary: int) -> list[list[Example]]:
    """Global batches of random tokens, the same in every run; the lengths of a file are shuffled and used in turn."""
    chance = random.Random(0)
    given = options.lengths
    lengths = cycle(chance.sample(given, len(given))) if given else sample_lengths(chance)
    return [
        [Example(chance.choices(range(vocabulary), k=n), r) for n, r in islice(lengths, options.batch_size)]
        for _ in range(options.warmup + options.steps)
    ]


def flatten(batch: Sequence[Example], *, size: int, device: torch.device) -> list[Row]:
    """Rows of at most `size` tokens (a longer example has a row of its own), examples in order."""
    rows: list[list[Example]] = [[]]
    for example in batch:
        if rows[-1] and sum(len(e.tokens) for e in rows[-1]) + len(example.tokens) > size:
            rows.append([])
        rows[-1].append(example)
    return [row_of(row, device=device) for row in rows]


def row_of(examples: Sequence[Example], *, device: torch.device) -> Row:
    """Examples end to end."""
    tokens = [token for e in examples for token in e.tokens]
    ends = list(accumulate(len(e.tokens) for e in examples))
    targets_at = [at for e, end in zip(examples, ends, strict=True) for at in range(end - e.response, end)]
    return Row(
        tokens=torch.tensor([tokens], device=device),
        positions=torch.tensor([[i for e in examples for i in range(len(e.tokens))]], device=device),
        bounds=torch.tensor([0, *ends], dtype=torch.int32, device=device),
        longest=max(len(e.tokens) for e in examples),
        places_N=torch.tensor(targets_at, device=device) - 1,
        targets_N=torch.tensor([tokens[at] for at in targets_at], device=device),
    )


def pad(batch: Sequence[Example], *, size: int, device: torch.device) -> list[MicroBatch]:
    """Micro-batches of `size` examples, in order, each as wide as its longest."""
    pieces = []
    for part in (batch[start : start + size] for start in range(0, len(batch), size)):
        longest = max(len(e.tokens) for e in part)
        tokens = [e.tokens + [0] * (longest - len(e.tokens)) for e in part]
        mask = [[1] * len(e.tokens) + [0] * (longest - len(e.tokens)) for e in part]
        labels = [[-100] * (len(e.tokens) - e.response) + e.tokens[-e.response :] for e in part]
        labels = [label + [-100] * (longest - len(label)) for label in labels]
        pieces.append(MicroBatch(*(torch.tensor(rows, device=device) for rows in (tokens, mask, labels))))
    return pieces


def segment_attention(
    module: Any,  # noqa: ARG001 (transformers passes module and mask by position)
    query_1HTD: Tensor,
    key_1HTD: Tensor,
    value_1HTD: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    *,
    bounds: Tensor,
    longest: int,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each example: the flash kernel on CUDA, which takes half precision only, else a loop."""
    # under autocast the rotary embedding leaves queries and keys in fp32: only values are bf16
    parts_1HTD = [t.to(value_1HTD.dtype) for t in (query_1HTD, key_1HTD, value_1HTD)]
    if value_1HTD.is_cuda:
        query_THD, key_THD, value_THD = (t[0].transpose(0, 1) for t in parts_1HTD)
        if GROUPED_QUERY:
            options: dict[str, Any] = {"enable_gqa": query_THD.shape[1] != key_THD.shape[1]}
        else:
            repeats, options = query_THD.shape[1] // key_THD.shape[1], {}
            key_THD, value_THD = (t.repeat_interleave(repeats, dim=1) for t in (key_THD, value_THD))
        out_THD = varlen_attn(
            query_THD, key_THD, value_THD, bounds, bounds, longest, longest,
            scale=scaling, window_size=(-1, 0), **options,
        )  # fmt: skip
        return out_THD.unsqueeze(0), None
    out = [
        scaled_dot_product_attention(
            *(t[:, :, i:j] for t in parts_1HTD), is_causal=True, scale=scaling, enable_gqa=True
        )
        for i, j in pairwise(bounds.tolist())
    ]
    return torch.cat(out, dim=2).transpose(1, 2), None


def token_losses(model: Any, row: Row) -> Tensor:
    """The loss of each response token of a row."""
    output = model.model(row.tokens, position_ids=row.positions, bounds=row.bounds, longest=row.longest)
    hidden_NH = output.last_hidden_state[0].index_select(0, row.places_N)
    if not (hidden_NH.is_cuda and hasattr(torch.nn.functional, "linear_cross_entropy")):
        return cross_entropy(model.lm_head(hidden_NH).float(), row.targets_N, reduction="none")
    if torch.is_autocast_enabled("cuda"):  # which leaves this function alone: it would multiply in fp32
        hidden_NH = hidden_NH.to(torch.bfloat16)
    weight_VH = model.lm_head.weight.to(hidden_NH.dtype)
    options = torch.nn.LinearCrossEntropyOptions()
    chunked = torch.nn.functional.linear_cross_entropy
    return chunked(hidden_NH, weight_VH, row.targets_N, reduction="none", options=options).float()


def flattened_loss(model: Any, row: Row, *, total: int) -> Tensor:
    """What a row adds to the loss of a batch with `total` response tokens."""
    return token_losses(model, row).sum() / total


def padded_loss(model: Any, piece: MicroBatch, *, total: int) -> Tensor:
    """What a micro-batch adds, as Trainer asks for it."""
    loss: Tensor = model(
        piece.tokens, attention_mask=piece.mask, labels=piece.labels, num_items_in_batch=total
    ).loss  # fmt: skip
    return loss


WAYS = (
    Way("flattened", "segments", "tokens", flatten, flattened_loss),
    Way("padded", "sdpa", "examples", pad, padded_loss),
)


def build(shape: str, *, attention: str, device: torch.device) -> Any:
    """A LLaMA with random weights, the same ones every time."""
    torch.manual_seed(0)
    with device:
        config = LlamaConfig(**SHAPES[shape], use_cache=False)
        return AutoModelForCausalLM.from_config(config, attn_implementation=attention).train()


def autocast(model: Any) -> torch.autocast:
    """To bf16, for fp32 weights on a GPU."""
    kind = model.device.type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda" and model.dtype == torch.float32)


def backward(model: Any, *, way: Way, pieces: Sequence[Any], total: int) -> list[Tensor]:
    """Add the gradients of a global batch; what each piece adds to its loss."""
    losses = []
    for piece in pieces:
        with autocast(model):
            loss = way.loss(model, piece, total=total)
        loss.backward()
        losses.append(loss.detach())
    return losses


def step(model: Any, optimizer: torch.optim.Optimizer, *, way: Way, pieces: Sequence[Any], total: int) -> float:
    """One optimiser step; the batch's loss, read when all of the step is done."""
    losses = backward(model, way=way, pieces=pieces, total=total)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(torch.stack(losses).double().sum())


def measure(
    shape: str, *, way: Way, batches: list[list[Example]], options: argparse.Namespace, device: torch.device
) -> Result:
    """Train at the first setting that fits: less at once, then checkpointing, then less at once again.

    Each starts anew, so that losses don't depend on what was tried before.
    """
    size = options.row_tokens if way.unit == "tokens" else options.micro_batch
    settings = [(checkpointing, max(1, size // by)) for checkpointing in (False, True) for by in (1, 2, 4)]
    unwanted = {"on": settings[:3], "off": settings[3:], "auto": settings[2:3]}[options.checkpointing]
    for checkpointing, size in [s for s in settings if s not in unwanted]:
        result = Result(
            model=shape, way=way.name, size=size, unit=way.unit, checkpointing=checkpointing, compiled=options.compile
        )
        try:
            result = train(result, way=way, batches=batches, warmup=options.warmup, device=device)
        except torch.OutOfMemoryError:
            result = replace(result, out_of_memory=True)
        print(table([result]), file=sys.stderr)  # in case a later one fails otherwise
        gc.collect()  # not inside except: the error holds the frames that hold the tensors
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if not result.out_of_memory:
            break
    return result


def train(setting: Result, *, way: Way, batches: list[list[Example]], warmup: int, device: torch.device) -> Result:
    """Take all steps at a setting; the clock runs over those after the warm-up."""
    cuda = device.type == "cuda"
    if setting.compiled:
        torch.compiler.reset()  # other models' code counts against the limit of recompilations
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    model = build(setting.model, attention=way.attention, device=device)
    if setting.checkpointing:
        model.activation_checkpointing_enable()
    if setting.compiled:
        for layer in model.model.layers:
            layer.compile(dynamic=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE[device.type], fused=True)
    losses, seconds, computed = [], 0.0, 0
    for number, batch in enumerate(batches):
        pieces = way.cut(batch, size=setting.size, device=device)
        if cuda:
            torch.cuda.synchronize()
        started = time.perf_counter()
        losses.append(step(model, optimizer, way=way, pieces=pieces, total=sum(e.response for e in batch)))
        if number >= warmup:
            seconds += time.perf_counter() - started
            computed += sum(piece.tokens.numel() for piece in pieces)
    measured = [e for batch in batches[warmup:] for e in batch]
    tokens, gigabytes = sum(len(e.tokens) for e in measured), sum(p.nbytes for p in model.parameters()) * 4 / 1e9
    return replace(
        setting, states=f"{'bf16' if model.dtype == torch.bfloat16 else 'fp32'} {gigabytes:.1f} GB", tokens=tokens,
        response_tokens=sum(e.response for e in measured), computed_tokens=computed, seconds=seconds,
        tokens_per_second=tokens / seconds, losses=tuple(losses),
        mfu=utilisation(model, measured, seconds=seconds),
        peak_gb=torch.cuda.max_memory_allocated() / 1e9 if cuda else None,
    )  # fmt: skip


def utilisation(model: Any, examples: Sequence[Example], *, seconds: float) -> float | None:
    """The share of the device's bf16 peak, None where none is known. Counted are the floating-point operations of the
    maths, not of a way to do it: 6 a weight and token, the head on response tokens, the half of attention that is seen.
    """
    name = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else ""
    peak = next((peak for part, peak in PEAK_TFLOPS.items() if part in name), None)
    weights = sum(p.numel() for layer in model.model.layers for p in layer.parameters() if p.dim() > 1)
    operations = sum(
        weights * len(e.tokens) + model.lm_head.weight.numel() * e.response
        + model.config.num_hidden_layers * model.config.hidden_size * len(e.tokens) ** 2
        for e in examples
    )  # fmt: skip
    return None if peak is None else 6 * operations / seconds / (peak * 1e12)


def check_toy(device: torch.device) -> list[str]:
    """What is wrong with gradients and attention at the toy's shape; nothing, one hopes."""
    chance, kind = random.Random(1), device.type
    batch = [Example(chance.choices(range(512), k=n), r) for n, r in islice(sample_lengths(chance), 12)]
    flat, padded = (
        gradients(way, batch=batch, size=size, device=device) for way, size in zip(WAYS, (512, 4), strict=True)
    )
    difference = float((flat - padded).norm() / padded.norm())
    apart, merged = (change(batch, merged=merged, device=device) for merged in (False, True))
    findings = {
        f"gradients of the two ways differ by {difference:.1e}": difference <= GRADIENT_TOLERANCE[kind],
        f"another example's tokens change a token's loss by {apart:.1e}": apart <= LOSS_TOLERANCE[kind],
        f"attention across examples changes losses by {merged:.1e} only": merged > 2 * LOSS_TOLERANCE[kind],
    }
    return [finding for finding, fine in findings.items() if not fine]


def gradients(way: Way, *, batch: Sequence[Example], size: int, device: torch.device) -> Tensor:
    """All of a toy's for one global batch, end to end."""
    model = build("toy", attention=way.attention, device=device)
    pieces = way.cut(batch, size=size, device=device)
    backward(model, way=way, pieces=pieces, total=sum(e.response for e in batch))
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@torch.no_grad()
def change(batch: Sequence[Example], *, merged: bool, device: torch.device) -> float:
    """By how much the first example's tokens change a loss of the others, relatively and at most.

    `merged` makes one segment of the row: the change that would show if attention crossed examples.
    """
    model = build("toy", attention="segments", device=device)
    other = replace(batch[0], tokens=[(token + 1) % 512 for token in batch[0].tokens])
    losses = []
    for examples in (batch, [other, *batch[1:]]):
        row = row_of(examples, device=device)
        if merged:
            row = replace(row, bounds=row.bounds[[0, -1]], longest=row.tokens.shape[1])
        with autocast(model):
            losses.append(token_losses(model, row)[batch[0].response :])
    return float(((losses[1] - losses[0]).abs() / losses[0]).max())


def compare(pair: Sequence[Result], *, tolerance: float) -> list[str]:
    """Where the first losses of the two ways differ; a way that ran out of memory has none."""
    first = zip(*(result.losses[:FIRST_STEPS] for result in pair), strict=False)
    return [
        f"{pair[0].model}: step {number} has loss {flat:.6f} flattened and {padded:.6f} padded"
        for number, (flat, padded) in enumerate(first)
        if not abs(flat - padded) <= tolerance * abs(padded)
    ]


def table(results: Sequence[Result]) -> str:
    """One line a result, under a heading."""
    form = "{:<5} {:<9} {:<13} {:<13} {:<12} {:>15} {:>5} {:>7} {:>7} {}"
    heading = ("model", "way", "at once", "checkpointing", "states", "useful tokens/s", "MFU", "peak GB", "padding")
    lines = [form.format(*heading, "first losses")]
    for r in results:
        figures = ["out of memory", "-", "-", "-", "-"]
        if not r.out_of_memory:
            figures = [
                f"{r.tokens_per_second:.0f}", "-" if r.mfu is None else f"{r.mfu:.1%}",
                "-" if r.peak_gb is None else f"{r.peak_gb:.1f}", f"{1 - r.tokens / r.computed_tokens:.0%}",
                " ".join(f"{loss:.4f}" for loss in r.losses[:FIRST_STEPS]),
            ]  # fmt: skip
        checkpointing = "on" if r.checkpointing else "off"
        lines.append(form.format(r.model, r.way, f"{r.size} {r.unit}", checkpointing, r.states, *figures))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
