"""Checkpoints on disk: transformers loads them, and the same weights are the same bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaTokenizer

from mixgrid.errors import InputError
from mixgrid.models import load_model, load_tokenizer, new_llama, save_checkpoint, train_tokenizer
from mixgrid.recipe import Recipe
from mixgrid.study import LlamaShape
from mixgrid.tokens import MixedExamples
from mixgrid.training.stage import train_stage

TOKENIZER = train_tokenizer(iter(["12 apples and 3 pears"] * 9), vocabulary_size=300)
IDS = torch.tensor([[1, 40, 50, 60, 70, 2]])


def _model(seed: int = 0, *, tied: bool = False) -> Any:
    shape = {"hidden_size": 16, "intermediate_size": 24, "layers": 2, "heads": 2}
    return new_llama(
        LlamaShape(**shape, vocabulary_size=300, tied_embeddings=tied), tokenizer=TOKENIZER, seed=seed
    ).eval()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("tied", [True, False])
def test_saved_checkpoint_loads_with_the_same_weights_and_tokenizer(tmp_path: Path, tied: bool) -> None:
    model = _model(tied=tied)
    save_checkpoint(tmp_path, model, TOKENIZER)
    loaded, tokenizer = load_model(tmp_path), load_tokenizer(tmp_path)
    assert {name: t.tolist() for name, t in loaded.state_dict().items()} == {
        name: t.tolist() for name, t in model.state_dict().items()
    }
    assert tokenizer("3 pears </s>")["input_ids"] == TOKENIZER("3 pears </s>")["input_ids"]
    assert (tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token) == ("</s>", "<s>", "<pad>")


def test_a_head_that_is_not_what_the_configuration_ties_it_to_is_kept_and_no_longer_said_to_be_tied(
    tmp_path: Path,
) -> None:
    model = _model()
    model.config.tie_word_embeddings = True
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config.tie_word_embeddings is False
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    assert not torch.equal(loaded.lm_head.weight, loaded.model.embed_tokens.weight)


def test_checkpoint_saved_twice_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        save_checkpoint(tmp_path / name, _model(), TOKENIZER)
    assert _files(tmp_path / "first") == _files(tmp_path / "second")
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(_files(tmp_path / "first"))


def test_loaded_checkpoint_saved_again_has_the_same_bytes(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "first", _model(), TOKENIZER)
    save_checkpoint(tmp_path / "second", load_model(tmp_path / "first"), load_tokenizer(tmp_path / "first"))
    assert _files(tmp_path / "first")["model.safetensors"] == _files(tmp_path / "second")["model.safetensors"]
    assert _files(tmp_path / "first")["tokenizer.json"] == _files(tmp_path / "second")["tokenizer.json"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_trained_checkpoint_loads_in_plain_transformers_with_the_same_logits(tmp_path: Path, precision: Any) -> None:
    recipe = Recipe(
        epochs=1, batch_size=1, peak_learning_rate=1e-2, warmup_ratio=0, schedule="constant", precision=precision
    )
    model = _model()
    examples = MixedExamples.in_memory([(np.arange(9, dtype=np.int32), np.ones(9, bool))])
    train_stage(model, examples, recipe=recipe, seed=0)
    save_checkpoint(tmp_path, model, TOKENIZER)
    model.set_attn_implementation("sdpa")
    with torch.no_grad():
        torch.testing.assert_close(AutoModelForCausalLM.from_pretrained(tmp_path)(IDS).logits, model.eval()(IDS).logits)
    assert AutoTokenizer.from_pretrained(tmp_path).decode(TOKENIZER("12 pears")["input_ids"][1:]) == "12 pears"


def test_new_llama_with_the_same_seed_has_the_same_weights_and_with_another_others() -> None:
    first, again, other = (_model(seed).lm_head.weight.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_tokenizer_without_an_end_token_is_refused_by_name(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(iter(["a b"]), vocabulary_size=300)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path)):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("legacy", [True, False])
def test_llama_tokenizer_saved_and_loaded_begins_later_turns_as_before(tmp_path: Path, legacy: bool) -> None:
    vocabulary = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "\u2581", "a", "b", "\u2581b"]
    tokenizer = LlamaTokenizer(
        vocab={token: i for i, token in enumerate(vocabulary)}, merges=[("\u2581", "b")], legacy=legacy
    )
    save_checkpoint(tmp_path, _model(), tokenizer)
    again = load_tokenizer(tmp_path)
    assert again("a</s>b")["input_ids"] == tokenizer("a</s>b")["input_ids"]
    assert again.legacy is legacy
