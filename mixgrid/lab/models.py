"""The lab's two sizes: shapes of tiny LLaMA models and how each is pretrained on the lab's raw text.

LAB_MODELS["lab.small"]  -> LabModel(hidden_size=64, layers=2, steps=1500, ...)
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LabModel:
    """A shape and its pretraining: `steps` batches of `batch_size` windows of `sequence_length` tokens."""

    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    vocabulary_size: int
    documents: int
    seed: int
    steps: int
    batch_size: int
    sequence_length: int
    peak_learning_rate: float


LAB_MODELS = {
    "lab.small": LabModel(
        hidden_size=64, intermediate_size=192, layers=2, heads=4, vocabulary_size=600, documents=8000, seed=0,
        steps=300, batch_size=16, sequence_length=128, peak_learning_rate=3e-3,
    ),
    "lab.large": LabModel(
        hidden_size=96, intermediate_size=288, layers=2, heads=4, vocabulary_size=600, documents=8000, seed=0,
        steps=300, batch_size=16, sequence_length=128, peak_learning_rate=3e-3,
    ),
}  # fmt: skip
