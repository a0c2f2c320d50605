"""New tokens/s of continuous batching against padded `generate` at LLaMA shapes, on the same prompts and lengths.

    python gpu_generation.py --models 1b,7b --json figures.json    one GPU; copy this file there
    python gpu_generation.py --toy                                 the CPU (the default without CUDA): a toy in fp32

It needs torch>=2.11 and transformers>=5.23 only. Its table, on one H200 with torch 2.11 (--prompts 256 --limit 256),
and the toy's on one busy CPU thread, where pages do not pay:

    model way           at once     tokens  seconds new tokens/s peak GB
    1b    continuous        128      30654     37.7          814   110.7
    1b    padded            128      30654     41.8          733     8.6
    toy   continuous          8       1405      3.1          452       -
    toy   padded              8       1405      1.1         1243       -

`padded` is `model.generate` on batches sorted by the prompts' length and padded on the left; a batch runs until its
longest answer is there. `continuous` is transformers' continuous batching with as many requests at once. Weights are
random and know no end, so lengths are drawn and imposed: prompts and answers log-normal around 120 and 100 tokens, and
an answer in twenty goes on to the limit, as where a model misses its end token. Only these tokens count.

Status 1 unless both ways give each prompt its number of tokens, and the greedy ones: in fp32 the same in both ways; in
bf16, where kernels round differently and answers part, each of the first answers' tokens has to lie within a tolerance
of the likeliest in a plain forward pass. Not inside torch.inference_mode: there continuous batching of transformers
5.23 answered wrongly and said nothing.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig, LlamaConfig

SHAPES: dict[str, dict[str, Any]] = {
    "toy": {
        "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 512, "dtype": torch.float32, "initializer_range": 0.2,
    },
    "1b": {
        "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
        "num_key_value_heads": 4, "vocab_size": 32_000, "dtype": torch.bfloat16,
    },
    "7b": {
        "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "vocab_size": 32_000, "dtype": torch.bfloat16,
    },
}  # fmt: skip
PROMPT_TOKENS, ANSWER_TOKENS, SPREAD, ENDLESS_SHARE = 120, 100, 0.6, 0.05
CHECKED = 8
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.25}
"""By how much a logit may lie below the largest. At the usual initial weights logits have a spread of about 1."""


@dataclass(frozen=True)
class Request:
    """Prompt and number of new tokens."""

    ids: list[int]
    new: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the table."""

    model: str
    way: str
    batch_size: int
    tokens: int
    seconds: float
    tokens_per_second: float
    peak_gb: float | None
    answers: list[list[int]]


def main() -> int:
    """Measure, check, print; the status is 1 if a check failed."""
    options = _options()
    device = torch.device("cpu" if options.toy else "cuda")
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    results, problems = [], []
    for shape in ["toy"] if options.toy else options.models.split(","):
        model = build(shape, device=device)
        requests = draw_requests(options.prompts, limit=options.limit, vocabulary=SHAPES[shape]["vocab_size"])
        pair = [measure(shape, name, model=model, requests=requests, batch_size=options.batch_size) for name in WAYS]
        problems += check(model, pair, requests=requests)
        results += pair
    print(table(results))
    print(*problems, "checks failed" if problems else "checks passed", sep="\n")
    if options.json:
        figures = [{key: value for key, value in asdict(result).items() if key != "answers"} for result in results]
        document = {"torch": torch.__version__, "device": _name(device), "results": figures, "problems": problems}
        options.json.write_text(json.dumps(document, indent=1))
    return int(bool(problems))


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--toy", action="store_true", default=not torch.cuda.is_available())
    options.add_argument("--models", default="1b")
    options.add_argument("--prompts", type=int, default=1024)
    options.add_argument("--batch-size", type=int, default=128)
    options.add_argument("--limit", type=int, default=512, help="new tokens an answer")
    options.add_argument("--json", type=Path)
    return options.parse_args()


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def build(shape: str, *, device: torch.device) -> Any:
    """A LLaMA with random weights, the same ones every time, that knows no end."""
    torch.manual_seed(0)
    with device:
        config = LlamaConfig(**SHAPES[shape], pad_token_id=0, bos_token_id=None, eos_token_id=None)
        return AutoModelForCausalLM.from_config(config).eval()


def draw_requests(count: int, *, limit: int, vocabulary: int) -> list[Request]:
    """The same ones every time; token 0 fills up."""
    chance, drawn = random.Random(0), []
    for _ in range(count):
        length, new = (round(mean * chance.lognormvariate(0, SPREAD)) for mean in (PROMPT_TOKENS, ANSWER_TOKENS))
        new = limit if chance.random() < ENDLESS_SHARE else min(limit, max(1, new))
        drawn.append(Request([chance.randrange(1, vocabulary) for _ in range(max(1, length))], new))
    return drawn


def answer_padded(model: Any, requests: Sequence[Request], *, batch_size: int) -> list[list[int]]:
    """Batches in order of the prompts' length."""
    order = sorted(range(len(requests)), key=lambda i: len(requests[i].ids))
    answers: list[list[int]] = [[] for _ in requests]
    for chosen in (order[start : start + batch_size] for start in range(0, len(order), batch_size)):
        batch = [requests[i] for i in chosen]
        width = max(len(request.ids) for request in batch)
        ids = torch.tensor([[0] * (width - len(r.ids)) + r.ids for r in batch], device=model.device)
        config = GenerationConfig(do_sample=False, max_new_tokens=max(r.new for r in batch), pad_token_id=0)
        output = model.generate(ids, attention_mask=(ids != 0).long(), generation_config=config)[:, width:].tolist()
        for i, new in zip(chosen, output, strict=True):
            answers[i] = new[: requests[i].new]
    return answers


def answer_continuously(model: Any, requests: Sequence[Request], *, batch_size: int) -> list[list[int]]:
    """All at once, longest prompts first; a request that fails has no tokens."""
    pages = batch_size * -(-max(len(r.ids) + r.new for r in requests) // 256)
    on_cpu = {"num_blocks": pages, "max_batch_tokens": 1024} if model.device.type == "cpu" else {}
    answers: list[list[int]] = [[] for _ in requests]
    with model.continuous_batching_context_manager(
        generation_config=GenerationConfig(do_sample=False, pad_token_id=0, eos_token_id=-1),
        continuous_batching_config=ContinuousBatchingConfig(max_requests_per_batch=batch_size, **on_cpu),
        timeout=30,
    ) as manager:
        order = sorted(range(len(requests)), key=lambda i: -len(requests[i].ids))
        open_ones = {manager.add_request(requests[i].ids, max_new_tokens=requests[i].new): i for i in order}
        while open_ones and manager.is_running():
            result = manager.get_result(timeout=1)
            if result is not None and result.is_finished():
                answers[open_ones.pop(result.request_id)] = list(result.generated_tokens)
    return answers


WAYS: dict[str, Callable[..., list[list[int]]]] = {"continuous": answer_continuously, "padded": answer_padded}


def measure(shape: str, name: str, *, model: Any, requests: Sequence[Request], batch_size: int) -> Result:
    """Answer all after a small batch has warmed up; start and end of continuous batching are inside the clock."""
    cuda = model.device.type == "cuda"
    WAYS[name](model, requests[:4], batch_size=4)
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    started = time.perf_counter()
    answers = WAYS[name](model, requests, batch_size=batch_size)
    seconds, tokens = time.perf_counter() - started, sum(map(len, answers))
    return Result(
        model=shape, way=name, batch_size=batch_size, tokens=tokens, seconds=seconds, answers=answers,
        tokens_per_second=tokens / seconds, peak_gb=torch.cuda.max_memory_allocated() / 1e9 if cuda else None,
    )  # fmt: skip


@torch.inference_mode()
def check(model: Any, pair: Sequence[Result], *, requests: Sequence[Request]) -> list[str]:
    """What is wrong with the answers; nothing, one hopes."""
    findings = []
    for result in pair:
        short = sum(len(new) != r.new for new, r in zip(result.answers, requests, strict=True))
        findings += [f"{result.model} {result.way}: {short} answers lack tokens or have too many"] if short else []
        for new, request in list(zip(result.answers, requests, strict=True))[:CHECKED]:
            tokens = torch.tensor([request.ids + new[:-1]], device=model.device)
            logits = model(input_ids=tokens, use_cache=False).logits[0, len(request.ids) - 1 :].float()
            chosen = logits.gather(1, torch.tensor(new, device=model.device)[:, None]) if new else logits
            behind = float((logits.amax(1, keepdim=True) - chosen).max())
            if not behind <= TOLERANCE[model.dtype]:
                findings.append(f"{result.model} {result.way}: a token lies {behind:.3g} behind the likeliest")
    if model.dtype == torch.float32 and pair[0].answers != pair[1].answers:
        findings.append(f"{pair[0].model}: the two ways answer differently in fp32")
    return findings


def table(results: Sequence[Result]) -> str:
    """One line a result, under a heading."""
    form = "{:<5} {:<10} {:>10} {:>10} {:>8} {:>12} {:>7}"
    lines = [form.format("model", "way", "at once", "tokens", "seconds", "new tokens/s", "peak GB")]
    for r in results:
        peak = "-" if r.peak_gb is None else f"{r.peak_gb:.1f}"
        rate = f"{r.tokens_per_second:.0f}"
        lines.append(form.format(r.model, r.way, r.batch_size, r.tokens, f"{r.seconds:.1f}", rate, peak))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
