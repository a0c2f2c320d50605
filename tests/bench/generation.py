"""Answers a second of mixgrid's generation and of what users do instead: same model, prompts, machine and answers.

    MIXGRID_TEST_DATA=../shared/data python tests/bench/generation.py

    | contender | answers/s | new tokens/s | mixgrid is N x as fast | same answers |
    | mixgrid, batch of 128 | 216.39 | 19,968 | 1.00 | yes |
    | generate, one prompt at a time | 17.80 | 1,642 | 12.16 | yes |
    | generate, padded batches of 128 | 39.85 | 3,677 | 5.43 | yes |

A LLaMA of the demo's shape answers GSM8K's questions greedily, at most 256 new tokens each; `--shape public_data` and
`wide` are larger (1.1M and 4.2M parameters beside the embedding). Weights are random, wide enough (0.1) for an answer
to wander rather than repeat itself, and the end token's row of the output head is 1.4 times as long: each new token
ends an answer with a chance of about 1 %. So answers differ in length as a geometric distribution cut at the limit.

`one` is what FastChat's gen_model_answer.py does, `model.generate` with a prompt at a time, here without sampling;
`padded` is the same with batches in the prompts' order, padded on the left. Each contender has a fresh process with the
environment of mixgrid's workers, one after the other; four prompts warm up. Status 1 if an answer differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any

from mixgrid.generation import Answer, generate
from mixgrid.warm import _ENVIRONMENT

SHAPES = {
    "lab.small": {"hidden_size": 80, "intermediate_size": 216, "layers": 2, "heads": 4, "vocabulary_size": 1024},
    "public_data": {"hidden_size": 128, "intermediate_size": 352, "layers": 3, "heads": 4, "vocabulary_size": 4096},
    "wide": {"hidden_size": 256, "intermediate_size": 688, "layers": 4, "heads": 8, "vocabulary_size": 4096},
}
INITIALIZER_RANGE, END_TOKEN_SCALE = 0.1, 1.4
WARM_UP = 4


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What a contender answered, and in which time. `cpu_share`: of one core."""

    answers: list[list[Any]]
    seconds: float
    cpu_share: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.answers) / self.seconds

    @property
    def tokens(self) -> list[int]:
        """New tokens of each answer."""
        return [tokens for *_, tokens in self.answers]


def answer_padded(
    model: Any, tokenizer: Any, prompts: Sequence[str], *, max_new_tokens: int, batch_size: int
) -> list[Answer]:
    """`model.generate` on batches in the prompts' order, padded on the left."""
    answers: list[Answer] = []
    for start in range(0, len(prompts), batch_size):
        batch = tokenizer(
            prompts[start : start + batch_size], return_tensors="pt", padding=True, padding_side="left",
            return_token_type_ids=False,
        )  # fmt: skip
        output = model.generate(
            **batch, do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        for new in output[:, batch["input_ids"].shape[1] :].tolist():
            stopped = tokenizer.eos_token_id in new
            new = new[: new.index(tokenizer.eos_token_id) + 1] if stopped else new
            text = tokenizer.decode(new, skip_special_tokens=True)
            answers.append(Answer(text, "stop" if stopped else "length", len(new)))
    return answers


@dataclass(frozen=True, kw_only=True)
class Contender:
    """`bar`: mixgrid is to be N x as fast. `batch_size`: other than the one asked for."""

    title: str
    answer: Callable[..., list[Any]]
    bar: float | None = None
    batch_size: int | None = None


CONTENDERS = {
    "mixgrid": Contender(title="mixgrid, batch of {}", answer=generate),
    "one": Contender(title="generate, one prompt at a time", answer=answer_padded, bar=10, batch_size=1),
    "padded": Contender(title="generate, padded batches of {}", answer=answer_padded, bar=2),
}


def main() -> int:
    """Prepare tokenizer and prompts, run the contenders, print the table."""
    given = _options().parse_args()
    if given.child:
        _child(given.child, given.folder, given)
        return 0
    if not (data := os.environ.get("MIXGRID_TEST_DATA")):
        print("MIXGRID_TEST_DATA is not set; give the folder with gsm8k/", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="mixgrid-generation-") as folder:
        _prepare(Path(data), Path(folder), shape=given.shape, count=given.prompts)
        timed = {name: _run(name, Path(folder), given) for name in CONTENDERS}
    lengths = timed["mixgrid"].tokens
    quarters = ", ".join(f"{quarter:.0f}" for quarter in quantiles(lengths))
    print(f"torch {version('torch')}, transformers {version('transformers')}; threads: {given.threads}")
    print(f"{len(lengths)} answers, mean {sum(lengths) / len(lengths):.0f} new tokens, quartiles {quarters}\n")
    print(*table(timed, batch_size=given.batch_size), "", *bars(timed, threads=given.threads), sep="\n")
    return int(any(t.answers != timed["mixgrid"].answers for t in timed.values()))


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--shape", choices=list(SHAPES), default="lab.small")
    options.add_argument("--prompts", type=int, default=480)
    options.add_argument("--batch-size", type=int, default=128)
    options.add_argument("--limit", type=int, default=256, help="new tokens an answer")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--child", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return options


def _prepare(data: Path, folder: Path, *, shape: str, count: int) -> None:
    """Write the tokenizer and the prompts."""
    from mixgrid.models import save_tokenizer, train_tokenizer
    from mixgrid.sources.files import read_rows

    texts = (f"USER: {r['question']} ASSISTANT: {r['answer']}" for r in read_rows(str(data / "gsm8k/train.jsonl")))
    save_tokenizer(folder, train_tokenizer(islice(texts, 1500), vocabulary_size=SHAPES[shape]["vocabulary_size"]))
    questions = [row["question"] for row in islice(read_rows(str(data / "gsm8k/test.jsonl")), count + WARM_UP)]
    (folder / "prompts.json").write_text(json.dumps([f"USER: {question} ASSISTANT:" for question in questions]))


def _run(name: str, folder: Path, given: argparse.Namespace) -> Timed:
    """One contender in a process of its own."""
    threads = str(given.threads)
    environment = os.environ | _ENVIRONMENT | {
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error",
    }  # fmt: skip
    options = {
        "shape": given.shape,
        "prompts": given.prompts,
        "batch-size": given.batch_size,
        "limit": given.limit,
        "threads": threads,
    }
    command = [sys.executable, __file__, "--child", name, "--folder", str(folder)]
    command += [f"--{option}={value}" for option, value in options.items()]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{name} ended with status {ended.returncode}:\n{ended.stderr[-3000:]}")
    return Timed(**json.loads((folder / f"{name}.json").read_text()))


def _child(name: str, folder: Path, given: argparse.Namespace) -> None:
    """Answer as contender `name`; leaves what it timed in the folder."""
    import torch

    from mixgrid.models import load_tokenizer, new_llama
    from mixgrid.study import LlamaShape

    torch.set_num_threads(given.threads)
    tokenizer = load_tokenizer(folder)
    model = new_llama(
        LlamaShape(**SHAPES[given.shape], initializer_range=INITIALIZER_RANGE), tokenizer=tokenizer, seed=0
    ).eval()
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= END_TOKEN_SCALE
    prompts = json.loads((folder / "prompts.json").read_text())
    contender = CONTENDERS[name]
    options = {"max_new_tokens": given.limit, "batch_size": contender.batch_size or given.batch_size}
    contender.answer(model, tokenizer, prompts[given.prompts :], **options)
    started, cpu = time.perf_counter(), time.process_time()
    answers = contender.answer(model, tokenizer, prompts[: given.prompts], **options)
    seconds = time.perf_counter() - started
    timed = Timed(
        answers=[[a.text, a.finish_reason, a.tokens] for a in answers], seconds=seconds,
        cpu_share=(time.process_time() - cpu) / seconds,
    )  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(asdict(timed)))


def table(timed: dict[str, Timed], *, batch_size: int) -> list[str]:
    """Markdown: a row a contender."""
    rows = ["| contender | answers/s | new tokens/s | mixgrid is N x as fast | same answers |", "|---|---|---|---|---|"]
    for name, t in timed.items():
        title, times = CONTENDERS[name].title.format(batch_size), timed["mixgrid"].rate / t.rate
        same = "yes" if t.answers == timed["mixgrid"].answers else "NO"
        rows.append(f"| {title} | {t.rate:.2f} | {sum(t.tokens) / t.seconds:,.0f} | {times:.2f} | {same} |")
    return rows


def bars(timed: dict[str, Timed], *, threads: int) -> list[str]:
    """Whether mixgrid is as many times as fast as it means to be; and whose clock says little."""
    lines = []
    for name, t in timed.items():
        if (bar := CONTENDERS[name].bar) is not None:
            times = timed["mixgrid"].rate / t.rate
            lines.append(f"{name}: {times:.2f} x, the bar is {bar} x: {'met' if times >= bar else 'NOT met'}")
        if t.cpu_share < 0.95 * threads:
            lines.append(f"{name} had {t.cpu_share / threads:.0%} of its cores: run again on an idle machine")
    return lines


if __name__ == "__main__":
    sys.exit(main())
