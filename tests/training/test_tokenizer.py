"""The lab's tokenizer: single digits, any text there and back, the same texts the same files."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.models import train_tokenizer

TEXTS = ["USER: 12 apples and 3 pears ASSISTANT: 12 + 3 = 15", "def f(xs):\n    return sum(xs) + 1200"] * 20
TOKENIZER = train_tokenizer(iter(TEXTS), vocabulary_size=400)


def test_trained_tokenizer_spells_numbers_digit_by_digit() -> None:
    assert TOKENIZER.tokenize("1200+12") == ["1", "2", "0", "0", "+", "1", "2"]


def test_trained_tokenizer_merges_what_it_has_seen_and_starts_with_s() -> None:
    # 259 tokens are bytes and special tokens: merges come on top, up to what was asked for
    assert 259 < len(TOKENIZER) <= 400
    assert TOKENIZER.tokenize("USER: apples") == ["USER", ":", "Ġapples"]
    assert TOKENIZER("a")["input_ids"][0] == TOKENIZER.bos_token_id == 1


@settings(deadline=None)
@given(text=st.text())
def test_trained_tokenizer_gives_any_text_back(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids, clean_up_tokenization_spaces=False) == text


def test_tokenizer_trained_twice_has_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        train_tokenizer(iter(TEXTS), vocabulary_size=400).save_pretrained(tmp_path / name)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("first", "second"))
    assert first == second
    assert "tokenizer.json" in first
