"""Memory of several processes that load one model and shard it: where the first one reads it, and where each does.

    python tests/bench/loading.py --processes 4 --layers 1

A LLaMA of 33B's widths with a layer or two, and an adapter, so that all else is small. Printed are the most anonymous
bytes of all processes together (what a machine must have; pages of the file can be given back), and their ratio.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mixgrid.models import load_model, model_without_weights
from mixgrid.recipe import Adapter, Recipe
from mixgrid.runtime import TrainingRuntime
from mixgrid.training.adapters import with_adapter
from mixgrid.training.engine import make_engine
from mixgrid.training.processes import is_first

WIDTHS = {"hidden_size": 6656, "intermediate_size": 17_920, "num_attention_heads": 52, "vocab_size": 32_000}
RECIPE = Recipe(
    budget={"steps": 2}, batch_size=8, peak_learning_rate=1e-4, warmup_ratio=0.0, schedule="constant",
    adapter=Adapter(name="lora", rank=4),
)  # fmt: skip


def main() -> None:
    """Both ways, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--scale", type=int, default=1, help="divide the widths by it, for a try")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)  # of the processes: who reads, and the folder
    options = parser.parse_args()
    if options.part:
        part(options.processes, *options.part)
        return
    with tempfile.TemporaryDirectory(prefix="mixgrid-loading-") as folder:
        widths = {name: size // options.scale if "heads" not in name else size for name, size in WIDTHS.items()}
        model = LlamaForCausalLM(LlamaConfig(**widths, num_hidden_layers=options.layers))
        size = sum(p.nbytes for p in model.parameters())
        model.bfloat16().save_pretrained(folder)  # as hubs have them: read in fp32, each process has a copy of its own
        del model
        print(f"weights {size / 1e9:.2f} GB in fp32, {options.processes} processes", flush=True)
        peaks = [peak(folder, who, options.processes) for who in ("each", "first")]
        for who, most in zip(("each process reads them", "the first one reads them"), peaks, strict=True):
            print(f"{who}: {most / 1e9:.2f} GB, {most / size:.2f} times the weights")
        print(f"ratio {peaks[0] / peaks[1]:.2f}")


def peak(folder: str, who: str, processes: int) -> int:
    """The most anonymous bytes of one way."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launcher, __file__, "--processes", str(processes), "--part", who, folder]
    running, most = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}), 0
    while running.poll() is None:
        most = max(most, anonymous(psutil.Process(running.pid)))
        time.sleep(0.05)
    assert running.returncode == 0
    return most


def anonymous(parent: psutil.Process) -> int:
    """Of a process and its descendants."""
    total = 0
    with suppress(psutil.Error, OSError):
        for process in [parent, *parent.children(recursive=True)]:
            status = Path(f"/proc/{process.pid}/status").read_text()
            total += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))
    return total


def part(processes: int, who: str, folder: str) -> None:
    """One of the processes."""
    torch.set_num_threads(1)
    model = load_model(folder) if who == "each" or is_first() else model_without_weights(folder)
    runtime = TrainingRuntime(processes=processes, sharding="full", row_tokens=64)
    adapted = with_adapter(model, RECIPE.adapter, seed=0)
    make_engine(adapted.get_base_model(), recipe=RECIPE, runtime=runtime, longest=24, seed=0)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
