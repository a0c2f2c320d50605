"""tokenize: a source's conversations as token and mask arrays, once a source, tokenizer and template.

    rows.tokens.npy    int32, all examples one after another
    rows.mask.npy      bool, true where the loss is taken: response tokens and the end token after them
    rows.offsets.npy   int64, example i is tokens[offsets[i]:offsets[i + 1]]
    rows.truncated.npy bool, true for an example that was cut at the maximum length
    held_out.*.npy     the same for the held-out rows
    ledger             {"examples": 1000, "tokens": 61234, "response_tokens": 30312, "truncated": 2, "fully_masked": 0}

The arrays are mapped from disk by whoever reads them. A fully masked example (its response lies behind the maximum
length) stays in its place, counted: it weighs nothing in the loss, and the batches stay those of the mixture.
"""

from typing import Any

from mixgrid.conversations import read_conversations
from mixgrid.identity import Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 2


class TokenizeSettings(Settings):
    """The template's name, and the length in tokens at which an example is cut."""

    template: str
    max_length: int


def tokenize(settings: TokenizeSettings, *, rows: Step, tokenizer: Step) -> Step:
    """The step for one source and one tokenizer."""
    return Step(
        kind="tokenize", version=VERSION, settings=settings, inputs={"rows": rows, "tokenizer": tokenizer},
        label=f"{rows.label}+{tokenizer.label}", title=f"tokenize {rows.label} for {tokenizer.label}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Render, tokenise, mask; both the training and the held-out rows."""
    from mixgrid.models import load_tokenizer
    from mixgrid.templates import encode
    from mixgrid.tokens import write_examples

    tokenizer = load_tokenizer(work.one("tokenizer").local_folder())
    ledger: dict[str, Any] = {}
    for part in ("rows", "held_out"):
        conversations = read_conversations(work.one("rows").path(f"{part}.parquet"))
        examples = encode(
            conversations,
            tokenizer=tokenizer,
            template=work.settings.template,
            max_length=work.settings.max_length,
            progress=work.progress,
        )
        ledger |= write_examples(work.folder, part, examples)
    return ledger


KIND = Kind(name="tokenize", version=VERSION, settings=TokenizeSettings, make=make)
