"""Held-out response loss: nats a response token on rows of the ability's own source that no training saw.

    general: {source: {..., held_out: 200}, benchmarks: [response_loss]}   ->   1.93 [1.88, 1.98], n=200 conversations

Response tokens only, with the training template and mask: a continuous measure that shows composition effects where
accuracy is still zero. The interval is over conversations, not tokens. Lower is better.
"""

from mixgrid.benchmarks import Benchmark

BENCHMARK = Benchmark(name="response_loss", data=None, grade=None, headline="loss", higher_is_better=False)
