"""Filters: what a conversation looks like that would teach a certain ability, so that a source can do without such.

    general: {source: {name: sharegpt, without: [code, math]}}
    looks_of([load_filters()["code"], load_filters()["math"]], conversation)
        ->  {"code": Sign(rule="fenced", text="```python")}        {} for one that is kept

Each file here is one filter: rules, each a regular expression with a text that it finds. A study writes one of its own,
for any ability, as `{name: poems, patterns: ['(?i)\\bsonnet\\b']}`. What a filter finds follows from the text alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Self

from pydantic import field_validator, model_validator

from mixgrid.conversations import Conversation
from mixgrid.identity import Settings
from mixgrid.names import choose
from mixgrid.registry import load_folder

FILTERED = "filtered "
"""`filtered general` is what stages call general's source without its look-alikes; no ability has a space."""
_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One sign: an expression that is looked for in the turns of the user, or of anybody. It finds its `example`."""

    name: str
    turns: Literal["user", "any"]
    pattern: str
    example: str


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Any rule is enough. `version` goes up when the rules change: it is part of a filtered source's key."""

    name: str
    rules: tuple[Rule, ...]
    version: int | None = None


@dataclass(frozen=True)
class Sign:
    """The rule that told, and the text it found, cut to a line."""

    rule: str
    text: str


class FilterSettings(Settings):
    """A filter as part of a source's identity: a built-in one at its version, or the patterns of a study's own."""

    name: str
    version: int | None = None
    patterns: tuple[str, ...] = ()

    def filter(self) -> Filter:
        """The filter these settings name."""
        if not self.patterns:
            return load_filters()[self.name]
        rules = [Rule(name=p[:_SHOWN], turns="any", pattern=p, example="") for p in self.patterns]
        return Filter(name=self.name, rules=tuple(rules))


class FilterChoice(Settings):
    """A filter as a study names it."""

    name: str
    patterns: tuple[str, ...] = ()

    @field_validator("patterns")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.patterns:
            choose(self.name, load_filters(), what="filter")
        return self

    def pinned(self) -> FilterSettings:
        """With the version of a built-in filter."""
        version = None if self.patterns else load_filters()[self.name].version
        return FilterSettings(name=self.name, version=version, patterns=self.patterns)


def load_filters() -> dict[str, Filter]:
    """All built-in filters by name."""
    return load_folder("mixgrid.filters", "FILTER")


def looks_of(filters: Sequence[Filter], conversation: Conversation) -> dict[str, Sign]:
    """Which filters a conversation looks like, each with the first sign that told."""
    return {filter.name: sign for filter in filters if (sign := _sign(filter, conversation)) is not None}


def _sign(filter: Filter, conversation: Conversation) -> Sign | None:
    for rule in filter.rules:
        search = _compiled(rule.pattern).search
        for message in conversation.messages:
            if rule.turns == "any" or message.role == rule.turns:
                match = search(message.content)
                if match is not None:
                    return Sign(rule.name, " ".join(match[0].split())[:_SHOWN])
    return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
