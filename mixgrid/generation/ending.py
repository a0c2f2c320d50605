"""Where an answer ends: at the end token, at a stop string, or at the limit.

Ending(tokenizer, max_new_tokens=64, stop=["USER:"]).answer(ids)
-> Answer(text=" 4", finish_reason="stop", tokens=6)       # " 4" and the tokens up to the one that ends "USER:"
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from mixgrid.generation.engine import Answer


class Ending:
    """The rule, and the answer that it makes of new tokens."""

    def __init__(self, tokenizer: Any, *, max_new_tokens: int, stop: Sequence[str] = ()) -> None:
        self._tokenizer, self._limit, self._stop = tokenizer, max_new_tokens, tuple(stop)
        self._end = tokenizer.eos_token_id  # read once: the tokenizer looks it up anew each time
        # a token has a byte or more; some more tokens, since the first of those that are read may be half a letter
        self._tail = max((len(text.encode()) for text in stop), default=0) + 8

    def reached(self, new: Sequence[int]) -> bool:
        """Whether an answer ends with its last token."""
        if new[-1] == self._end or len(new) >= self._limit:
            return True
        return bool(self._stop) and self._cut(self._text(new[-self._tail :])) is not None

    def answer(self, new: Sequence[int]) -> Answer:
        """The answer; tokens behind its end are ignored."""
        text = self._text(new)
        if self._cut(text) is not None:
            count = 1 + bisect_left(range(1, len(new)), True, key=lambda n: self._cut(self._text(new[:n])) is not None)
            return Answer(text[: self._cut(text)], "stop", count)
        return Answer(text, "stop" if new and new[-1] == self._end else "length", len(new))

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _cut(self, text: str) -> int | None:
        """Where the first stop string begins."""
        return min((at for stop in self._stop if (at := text.find(stop)) >= 0), default=None)
