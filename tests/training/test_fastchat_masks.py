"""Vicuna masks against those of FastChat's own `preprocess`, on the ShareGPT rows of real data.

    tokens     <s>  ▁A  ▁chat ... :   ▁I  ▁am  ▁V ...  .  </s>  ▁U  S  ER  :  ...
    FastChat  -100 -100 -100 ... -100 ▁I  ▁am  ▁V ...  .  </s> -100 ...            (labels; -100: no loss)

Of the 1,798 rows, all of which mixgrid reads, FastChat reads 1,718 and reports a mismatch on none: tokens and masks
are the same, those of some 50 rows that are cut at 2,048 tokens included. The other 80 open with a system message,
which is a KeyError to FastChat. As no row's text makes it report a mismatch, four that do are made from a real row;
and with a tokenizer without `legacy` it reports one on some 390 rows as they are. All of these are checked by hand.
"""

import io
import json
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastchat.train import train as fastchat
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from transformers import LlamaTokenizer
from transformers.convert_slow_tokenizer import generate_merges

from mixgrid.conversations import Conversation
from mixgrid.sources.forms import Normalised, normalise
from mixgrid.templates import Example, encode, render

Turns = list[dict[str, str]]
Labelled = tuple[list[int], list[int]]
"""Token numbers and labels of a row, padded to the maximum length."""

MAX_LENGTH = 2048
REPORTED = "FastChat reports a mismatch"
IDENTITY_0 = " I am Vicuna, a language model trained by researchers from Large Model Systems Organization (LMSYS).</s>"
IDENTITY_2 = (
    " Hello! How can I help you today?</s>"
    " You can call me Vicuna, and I was trained by Large Model Systems Organization (LMSYS) researchers as a language "
    "model.</s> Goodbye! If you have any more questions in the future, don't hesitate to ask.</s>"
)


@pytest.fixture(scope="module")
def rows(test_data: Path) -> dict[str, Turns]:
    """The turns of every row, by the row's name."""
    files = [test_data / "sharegpt" / name for name in ("general_chat.json", "dummy_conversation.json")]
    return {row["id"]: row["conversations"] for file in files for row in json.loads(file.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def sentencepiece(rows: dict[str, Turns]) -> SentencePieceProcessor:
    """A model of LLaMA's form: BPE, bytes for what it lacks, single digits, a space in front, text as it is."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(line for turns in rows.values() for t in turns for line in t["value"].splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=2000,
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return SentencePieceProcessor(model_proto=model.getvalue())


@pytest.fixture(scope="module")
def tokenizer(sentencepiece: SentencePieceProcessor) -> Any:
    # FastChat counts a turn's tokens alone and expects as many of them in the conversation. With `legacy` that holds
    # for any vocabulary: text has a space put in front after </s> too, as at the start. Its "-2" is <s> and the "▁"
    # that "ASSISTANT: " ends in when it is tokenised alone.
    return _llama_tokenizer(sentencepiece, legacy=True)


@pytest.fixture(scope="module")
def later_tokenizer(sentencepiece: SentencePieceProcessor) -> Any:
    # Without `legacy` nothing is put in front after </s>, and FastChat takes a token off each later turn. That is right
    # where "USER" is one piece and "▁USER" two; here it is "U S ER" and "▁U S ER".
    return _llama_tokenizer(sentencepiece, legacy=False)


@pytest.fixture(autouse=True)
def _first_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastchat, "local_rank", 0)  # FastChat's main sets it; other ranks report no mismatch


def _llama_tokenizer(model: SentencePieceProcessor, *, legacy: bool) -> Any:
    """The model as transformers' tokenizer, padded as in FastChat's main."""
    pieces = [model.id_to_piece(i) for i in range(len(model))]
    unmerged = [p for i, p in enumerate(pieces) if model.is_control(i) or model.is_unknown(i) or model.is_byte(i)]
    scores = [(piece, model.get_score(i)) for i, piece in enumerate(pieces)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    merges = generate_merges(vocabulary, scores, skip_tokens=unmerged)
    return LlamaTokenizer(
        vocab=vocabulary,
        merges=merges,
        legacy=legacy,
        add_bos_token=True,
        pad_token="<unk>",
        padding_side="right",
        model_max_length=MAX_LENGTH,
    )


def _fastchat(turns: Turns, tokenizer: Any) -> Labelled | str:
    """FastChat's tokens and labels, or why it has none."""
    with redirect_stdout(io.StringIO()) as told:
        try:
            found = fastchat.preprocess([turns], tokenizer)
        except KeyError as role:
            return f"FastChat knows no {role.args[0]}"
    if "tokenization mismatch" in told.getvalue():
        assert (found["labels"] == -100).all()
        return REPORTED
    return found["input_ids"][0].tolist(), found["labels"][0].tolist()


def _conversation(turns: Turns) -> Conversation:
    read = normalise("sharegpt", {"conversations": turns}, origin=0)
    assert isinstance(read, Normalised)
    return read.conversation


def _encoded(turns: Turns, tokenizer: Any, max_length: int) -> Example:
    return next(encode([_conversation(turns)], tokenizer=tokenizer, template="vicuna", max_length=max_length))


def _mixgrid(turns: Turns, tokenizer: Any) -> Labelled:
    example = _encoded(turns, tokenizer, MAX_LENGTH)
    labels, missing = np.where(example.mask, example.tokens, -100), MAX_LENGTH - len(example.tokens)
    return example.tokens.tolist() + [0] * missing, labels.tolist() + [-100] * missing


def _trained_on(turns: Turns, tokenizer: Any) -> str:
    example = _encoded(turns, tokenizer, 10**6)
    # the decoder drops a space that nothing stands before
    numbers = [tokenizer.bos_token_id, *example.tokens[example.mask]]
    return str(tokenizer.decode(numbers, clean_up_tokenization_spaces=False)).removeprefix("<s>")


def _answers(turns: Turns) -> str:
    return "".join(f" {turn['value']}</s>" for turn in turns if turn["from"] == "gpt")


def _replaced(turns: Turns, place: int, text: str) -> Turns:
    return [{**turn, "value": text} if at == place else turn for at, turn in enumerate(turns)]


def test_llama_tokenizer_of_a_sentencepiece_model_gives_its_numbers(
    rows: dict[str, Turns], sentencepiece: SentencePieceProcessor, tokenizer: Any
) -> None:
    for turns in rows.values():
        text, _ = render(_conversation(turns).messages, tokenizer=tokenizer, template="vicuna")
        rounds = [[*sentencepiece.encode(part), 2] for part in text.removesuffix("</s>").split("</s>")]
        assert tokenizer(text, verbose=False)["input_ids"] == [1, *(number for part in rounds for number in part)]


def test_vicuna_masks_of_the_1718_rows_that_fastchat_reads_are_fastchats(
    rows: dict[str, Turns], tokenizer: Any
) -> None:
    theirs = {name: _fastchat(turns, tokenizer) for name, turns in rows.items()}
    compared = {name: labelled for name, labelled in theirs.items() if not isinstance(labelled, str)}
    assert [name for name, labelled in compared.items() if labelled != _mixgrid(rows[name], tokenizer)] == []
    assert all(any(label != -100 for label in labels) for _, labels in compared.values())
    assert any(tokens[-1] for tokens, _ in compared.values())  # some fill the length, so are cut there
    left_out = Counter(reason for reason in theirs.values() if isinstance(reason, str))
    assert (len(compared), left_out) == (1718, {"FastChat knows no system": 80})


def test_vicuna_mask_of_a_row_that_opens_with_an_answer_is_fastchats(rows: dict[str, Turns], tokenizer: Any) -> None:
    turns = [{"from": "gpt", "value": "Welcome!"}, *rows["identity_0"]]
    assert _mixgrid(turns, tokenizer) == _fastchat(turns, tokenizer)
    assert _trained_on(turns, tokenizer) == IDENTITY_0 + " You too!</s>"


def test_vicuna_masks_of_rows_with_a_system_message_are_their_answers(rows: dict[str, Turns], tokenizer: Any) -> None:
    with_system = [turns for turns in rows.values() if turns[0]["from"] == "system"]
    assert len(with_system) == 80
    assert [_trained_on(turns, tokenizer) for turns in with_system] == [_answers(turns) for turns in with_system]


@pytest.mark.parametrize(
    ("place", "text", "trained_on"),
    [
        pytest.param(0, "Go on: USER: Hi ASSISTANT: He", IDENTITY_0 + " You too!</s>", id="question_quotes_a_turn"),
        pytest.param(
            3, "As in USER: Hi ASSISTANT: Ho", IDENTITY_0 + " As in USER: Hi ASSISTANT: Ho</s>", id="answer_does"
        ),
        # text after an end token has a space put in front, as everywhere with `legacy`
        pytest.param(3, "The mark </s>ends é", IDENTITY_0 + " The mark </s> ends é</s>", id="end_token_in_an_answer"),
        # FastChat pads with <unk> and counts one in the text as padding
        pytest.param(2, "What is <unk> for?", IDENTITY_0 + " You too!</s>", id="padding_in_a_question"),
    ],
)
def test_vicuna_mask_of_a_row_altered_until_fastchat_reports_it_is_its_answers(
    rows: dict[str, Turns], tokenizer: Any, place: int, text: str, trained_on: str
) -> None:
    turns = _replaced(rows["identity_0"], place, text)
    assert _fastchat(turns, tokenizer) == REPORTED
    assert _trained_on(turns, tokenizer) == trained_on


def test_vicuna_masks_of_rows_that_fastchat_reports_without_legacy_are_their_answers(
    rows: dict[str, Turns], later_tokenizer: Any
) -> None:
    several = [name for name, turns in rows.items() if len(turns) > 2]
    reported = [name for name in several if _fastchat(rows[name], later_tokenizer) == REPORTED]
    assert len(reported) >= 300
    assert {"identity_0", "identity_2"} <= set(reported)
    assert _trained_on(rows["identity_0"], later_tokenizer) == IDENTITY_0 + " You too!</s>"
    assert _trained_on(rows["identity_2"], later_tokenizer) == IDENTITY_2
    assert [name for name in reported if _trained_on(rows[name], later_tokenizer) != _answers(rows[name])] == []
