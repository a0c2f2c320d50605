"""GFLOP/s of x @ weight.t() by torch.mm and by mixgrid.products, and what a new shape costs; one thread.

python tests/bench/products.py

| T x H x K | torch.mm | mixgrid.products.linear | first call, us |
| 320 x 80 x 240 | 105 | 199 | 1641 |
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from mixgrid.products import linear

SHAPES = [(320, 80, 240), (320, 216, 80), (176, 80, 922), (512, 256, 688)]
ROUNDS, TIMES = 9, 50


def by_mm(x_TH: Tensor, weight_KH: Tensor) -> Tensor:
    """What users of torch get."""
    return torch.mm(x_TH, weight_KH.t())


def seconds(product: Callable[[Tensor, Tensor], Tensor], x_TH: Tensor, weight_KH: Tensor) -> float:
    """A product in the fastest round."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(TIMES):
            product(x_TH, weight_KH)
        rounds.append((time.perf_counter() - started) / TIMES)
    return min(rounds)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| T x H x K | torch.mm | mixgrid.products.linear | first call, us |\n|---|---|---|---|")
    for rows, width, out in SHAPES:
        x_TH, weight_KH = torch.randn(rows, width), torch.randn(out, width)
        started = time.perf_counter()
        linear(x_TH, weight_KH)
        first = time.perf_counter() - started
        theirs, ours = (2e-9 * rows * width * out / seconds(way, x_TH, weight_KH) for way in (by_mm, linear))
        print(f"| {rows} x {width} x {out} | {theirs:.0f} | {ours:.0f} | {1e6 * first:.0f} |")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
