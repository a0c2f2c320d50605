"""Processes that train a small model together, asked for one batch's loss and gradients after another.

with trainers("llama_grouped", TrainingRuntime(processes=2, sharding="full")) as ask:
    ask(batch, row_tokens=30)   -> each process's loss and {"model.norm.weight": its gradient, ...}
    ask([], row_tokens=0)       -> the bytes of its weights once they are written back, and {}; the last question

As under torch's launcher, this process keeps the store at which they meet, on the loopback; they leave with it. The
modules that take long to import are imported once, by the server that forks them all.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

import torch
from numpy.typing import NDArray
from padded_batches import LONGEST, small_model
from torch.distributed import TCPStore

from mixgrid.recipe import Recipe
from mixgrid.runtime import TrainingRuntime
from mixgrid.tokens import Arrays
from mixgrid.training.batches import weigh
from mixgrid.training.engine import Engine, State, make_engine
from mixgrid.training.processes import whole

IMPORTED_ONCE = ["accelerate", "hypothesis", "torch.distributed.fsdp", "transformers.models.llama.modeling_llama"]
# without a mean over steps AdamW's first moment is the gradient; nothing is clipped
RECIPE = Recipe(
    epochs=1, batch_size=1, peak_learning_rate=1e-3, warmup_ratio=0.0, schedule="constant", adam_beta1=0.0,
    max_gradient_norm=1e9,
)  # fmt: skip
PATIENCE_S = 60

Answer = tuple[float, dict[str, NDArray[Any]]]
Ask = Callable[..., list[Answer]]


@contextmanager
def trainers(architecture: str, runtime: TrainingRuntime) -> Iterator[Ask]:
    """As many processes as the runtime has; only the first one is given the weights."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    ends: list[Connection] = []
    processes = []
    try:
        for rank in range(runtime.processes):
            ours, theirs = context.Pipe()
            place = _place(rank, runtime.processes, store.port)
            processes.append(context.Process(target=_serve, args=(theirs, place, architecture, runtime), daemon=True))
            processes[-1].start()
            theirs.close()  # else its end would not be noticed
            ends.append(ours)
        yield lambda batch, *, row_tokens: _ask(ends, batch, row_tokens)
    finally:
        for end in ends:
            end.close()
        for process in processes:
            process.join(10)
            process.kill()
            process.join()


def _ask(ends: list[Connection], batch: list[Arrays], row_tokens: int) -> list[Answer]:
    for end in ends:
        end.send((batch, row_tokens))
    for end in ends:
        assert end.poll(PATIENCE_S), f"no answer within {PATIENCE_S} s: do the processes wait for each other?"
    return [end.recv() for end in ends]


def _place(rank: int, processes: int, port: int) -> dict[str, str]:
    """What torch's launcher tells a process of its place."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}
    return {name: str(value) for name, value in {**place, **meeting, "OMP_NUM_THREADS": 1}.items()}


def _serve(connection: Connection, place: dict[str, str], architecture: str, runtime: TrainingRuntime) -> None:
    """One of the processes."""
    os.environ.update(place)
    torch.set_num_threads(1)
    model = small_model(architecture, torch.float32)
    if place["RANK"] != "0":
        for parameter in model.parameters():
            parameter.data.fill_(float("nan"))
    engine = make_engine(model, recipe=RECIPE, runtime=runtime, longest=LONGEST, seed=0)
    fresh = {kind: {n: t.clone() for n, t in tensors.items()} for kind, tensors in engine.state().items()}
    with suppress(EOFError):  # the end
        while True:
            batch, row_tokens = connection.recv()
            if batch:
                connection.send(_answer(engine, fresh, batch, row_tokens))
                continue
            engine.write_back()
            storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
            connection.send((float(sum(storages.values())), {}))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _answer(engine: Engine, fresh: State, batch: list[Arrays], row_tokens: int) -> Answer:
    engine.load(fresh, updates=0)
    engine.row_tokens = row_tokens
    loss = engine.accumulate(engine.prepare(weigh(batch)), step=0)
    engine.update(rate=0.0)
    return loss, {name: whole(gradient).numpy() for name, gradient in engine.state()["exp_avg"].items()}
