"""Pretraining of a tiny model on the lab's text: every step a full batch, the same settings the same weights."""

from typing import Any

import pytest

from mixgrid.errors import StepError
from mixgrid.lab.text import pretraining_documents
from mixgrid.models import new_llama, train_tokenizer
from mixgrid.progress import silent
from mixgrid.steps.base import Pretraining
from mixgrid.steps.tokenizer import LabText
from mixgrid.study import LlamaShape
from mixgrid.training.pretraining import pretrain

TOKENIZER = train_tokenizer(iter(pretraining_documents(documents=20, seed=0)), vocabulary_size=300)
SETTINGS = Pretraining(
    text=LabText(documents=20, seed=0), steps=30, batch_size=4, sequence_length=32,
    peak_learning_rate=1e-2, warmup_ratio=0.1, adam_beta2=0.98,
)  # fmt: skip


def _pretrained(settings: Pretraining = SETTINGS) -> tuple[list[Any], dict[str, Any]]:
    shape = LlamaShape(hidden_size=16, intermediate_size=24, layers=1, heads=2, vocabulary_size=300)
    model = new_llama(shape, tokenizer=TOKENIZER, seed=0)
    ledger = pretrain(model, TOKENIZER, settings, progress=silent)
    return [parameter.tolist() for parameter in model.parameters()], ledger


def test_pretrain_reads_full_batches_and_learns() -> None:
    _, ledger = _pretrained()
    assert (ledger["steps"], ledger["tokens"]) == (30, 30 * 4 * 32)
    assert ledger["final_loss"] < 5.0  # ln 300 = 5.7 at random


def test_pretrain_twice_gives_the_same_weights() -> None:
    # 30 batches of 4 rows: the text of about 50 rows is read more than twice
    assert _pretrained()[0] == _pretrained()[0]


def test_pretrain_on_less_text_than_a_batch_says_what_to_change() -> None:
    with pytest.raises(StepError, match="documents"):
        _pretrained(SETTINGS.model_copy(update={"batch_size": 64}))
