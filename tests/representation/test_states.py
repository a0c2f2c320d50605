"""Hidden states, queries and maps: transformers' own states of one prompt at a time are the oracle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MambaConfig, Qwen2Config

from mixgrid.conversations import Conversation, Message, exchange, write_conversations
from mixgrid.errors import StepError
from mixgrid.models import train_tokenizer
from mixgrid.representation.embedding import embed
from mixgrid.representation.queries import Queries, choose_queries
from mixgrid.representation.states import layer_states
from mixgrid.steps.download import DownloadRuntime, DownloadSettings, download
from mixgrid.store import Store

TOKENIZER = train_tokenizer(iter(["sums and words"]), vocabulary_size=300)
SHAPE = {"vocab_size": len(TOKENIZER), "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SHAPE, intermediate_size=24, initializer_range=0.5),
    "qwen2": lambda: Qwen2Config(**SHAPE, intermediate_size=24, num_key_value_heads=1, initializer_range=0.5),
    "gpt2": lambda: GPT2Config(**SHAPE, initializer_range=0.5),
    "mamba": lambda: MambaConfig(vocab_size=len(TOKENIZER), hidden_size=16, num_hidden_layers=3),
}
PROMPTS = ["USER: 1 + 1? ASSISTANT:", "a", "Tell me of the sea, and of all that lives in it. ", "USER: x ASSISTANT:"]


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Any:
    """Random weights."""
    torch.manual_seed(2)
    return AutoModelForCausalLM.from_config(CONFIGS[request.param]()).eval()


@torch.no_grad()
def alone(model: Any, prompt: str, layer: int) -> Any:
    """One prompt's states at a layer, (tokens, hidden size)."""
    ids = torch.tensor([TOKENIZER(prompt)["input_ids"]])
    return model(ids, output_hidden_states=True).hidden_states[layer][0].numpy()


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_layer_states_of_many_prompts_are_transformers_own_of_each_alone(model: Any, layer: int) -> None:
    last = layer_states(model, TOKENIZER, PROMPTS, layer=layer, pooling="last", max_length=99)
    mean = layer_states(model, TOKENIZER, PROMPTS, layer=layer, pooling="mean", max_length=99)
    for i, prompt in enumerate(PROMPTS):
        states = alone(model, prompt, layer)
        assert last[i] == pytest.approx(states[-1], rel=1e-4, abs=1e-5)
        assert mean[i] == pytest.approx(states[1:].mean(axis=0), rel=1e-4, abs=1e-5)


def test_layer_states_of_a_long_prompt_are_those_of_its_beginning(model: Any) -> None:
    cut = layer_states(model, TOKENIZER, PROMPTS, layer=2, pooling="last", max_length=5)
    assert cut[2] == pytest.approx(alone(model, PROMPTS[2], 2)[4], rel=1e-4, abs=1e-5)


def test_layer_states_of_a_layer_that_is_not_there_says_which_are(model: Any) -> None:
    with pytest.raises(StepError, match=r"layer: 4: the model has 3 blocks; use one of 0 to 3"):
        layer_states(model, TOKENIZER, PROMPTS, layer=4, pooling="last", max_length=99)


def queries_of(folder: Path, rows: list[Conversation], held_out: list[Conversation], samples: int) -> Queries:
    """What is chosen of a source with these rows."""
    store = Store(str(folder))
    step = download(DownloadSettings(source="mine", form="messages", content="0"), DownloadRuntime())
    with store.attempt(step) as attempt:
        write_conversations(attempt.folder / "rows.parquet", rows)
        write_conversations(attempt.folder / "held_out.parquet", held_out)
        record = attempt.commit(ledger={"rows": len(rows), "held_out": len(held_out)})
    return choose_queries(store.open(record), samples)


@settings(max_examples=10)
@given(st.permutations(range(9)), st.integers(1, 12))
def test_queries_are_different_ones_whatever_the_order_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], samples: int
) -> None:
    """Nine rows with three answers to each of three questions."""
    rows = [exchange(f"{i % 3} + 1?", f"answer {i}") for i in range(9)]
    folders = [tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")]
    found = [
        queries_of(folder, given_rows, [], samples)
        for folder, given_rows in zip(folders, (rows, [rows[i] for i in order]), strict=True)
    ]
    texts = [[query.text for query in queries.chosen] for queries in found]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == len(texts[0]) == min(samples, 3)
    assert found[0].of == 3
    assert all([rows[i] for i in order][query.item].prompt == query.text for query in found[1].chosen)


def test_queries_are_held_out_ones_where_there_are_any_and_end_with_the_users_turn(tmp_path: Path) -> None:
    system = Message("system", "Be brief.")
    rows = [exchange(f"trained {i}", "x") for i in range(4)]
    held_out = [Conversation((system, *exchange(f"kept {i}", "x").messages)) for i in range(3)]
    found = queries_of(tmp_path, rows, held_out, 9)
    assert found.part == "held_out"
    assert sorted(query.text for query in found.chosen) == ["kept 0", "kept 1", "kept 2"]
    assert all(query.messages == held_out[query.item].messages[:2] for query in found.chosen)


def test_queries_of_a_source_that_asks_one_thing_only_say_so(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="part rows has 1 different queries"):
        queries_of(tmp_path, [exchange("again?", "x"), exchange("again?", "y")], [], 5)


def test_map_is_the_same_on_any_number_of_threads_and_keeps_clusters_together() -> None:
    rng = np.random.default_rng(0)
    states = np.concatenate([rng.normal(size=(60, 30)) + 9 * group for group in range(3)]).astype(np.float32)
    maps = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            maps.append(embed(states))
    assert maps[0].tobytes() == maps[1].tobytes()
    centres = maps[0].reshape(3, 60, 2).mean(axis=1)
    nearest_centre = np.linalg.norm(maps[0][:, None] - centres[None], axis=2).argmin(axis=1)
    assert nearest_centre.tolist() == [group for group in range(3) for _ in range(60)]


def test_map_of_a_handful_of_points_is_made_too() -> None:
    found = embed(np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32))
    assert found.shape == (4, 2)
    assert np.isfinite(found).all()
