"""HumanEval with the instruction of `humaneval`, and the answer already opened with the prompt.

{name: humaneval.prefill, path: data/HumanEval.jsonl.gz}      no column has scores of two styles
"""

from mixgrid.benchmarks.humaneval import styled

BENCHMARK = styled("prefill")
