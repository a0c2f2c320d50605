"""HumanEval with the bare prompt, without a template: how base models are asked.

{name: humaneval.completion, path: data/HumanEval.jsonl.gz}      no column has scores of two styles
"""

from mixgrid.benchmarks.humaneval import styled

BENCHMARK = styled("completion")
