"""What a judging is (part of a score's key), and where and at what cost it runs (never part of one).

JudgeSettings(model="gpt-4", prompts="9f2c...", references="41aa...", reference_set="paper", repeats=3)
JudgeRuntime(base_url="http://localhost:8000/v1", concurrency=32, budget_calls=500, cache="s3://bucket/judge")
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from mixgrid.identity import Runtime, Settings
from mixgrid.names import choose

Count = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

ReferenceSet = Literal["paper", "corrected"]
"""The paper's GPT-4 references, of which 13 of 30 are wrong (FastChat pull request 3158), or a mended file."""


class JudgeSettings(Settings):
    """The judge and what it is asked.

    `prompts` and `references` are SHA-256 of the files. `model` names the judge in requests; two models must not share
    a name, wherever they are served. `temperature: null` leaves it to the endpoint, as some models demand.
    `answer_characters`: a longer answer is cut to this before it is sent, and counted.
    """

    model: str
    profile: str = "mt-bench"
    prompts: str | None = None
    references: str | None = None
    reference_set: ReferenceSet | None = None
    repeats: Count = 1
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = 0.0
    max_tokens: Count = 2048
    answer_characters: Count = 20_000


class JudgeRuntime(Runtime):
    """How the judge is reached, and what one judging may cost.

    `api_key_variable` names the environment variable that holds the key: a key is never a setting. `cache` is a folder
    or URL that keeps every reply, by default `judge-cache` in the study's store. `max_retries` (429, 5xx, timeouts,
    broken connections) and `timeout_s` (of an attempt) are the openai client's own. `budget_calls` and `budget` are for
    one run over one checkpoint's answers; `price_in` and `price_out` are money a million tokens, in the currency of
    `budget`. A call is sent only if both budgets allow for it at its longest. `token_limit` is what the endpoint calls
    `max_tokens`.
    """

    base_url: str = "https://api.openai.com/v1"
    api_key_variable: str = "OPENAI_API_KEY"
    cache: str | None = None
    concurrency: Count = 8
    max_retries: Annotated[int, Field(ge=0, le=100)] = 5
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    budget_calls: Annotated[int, Field(ge=0)] | None = None
    budget: Amount | None = None
    price_in: Amount = 0.0
    price_out: Amount = 0.0
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http:// or https:// URL; write one such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("a URL must hold no user, password or query; put the key into the environment variable")
        return url

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.budget is not None and not (self.price_in or self.price_out):
            raise ValueError("budget needs price_in and price_out, in money a million tokens")
        return self


class JudgeChoice(JudgeSettings):
    """A study's judge: `prompts` and `references` are places of files, of which `pinned` makes what they hold.

    judge: {model: gpt-4, prompts: data/judge_prompts.jsonl, references: data/gpt-4.jsonl, reference_set: paper}
    """

    @model_validator(mode="after")
    def _can_ask(self) -> Self:
        from mixgrid.judge.profiles import PROFILES

        choose(self.profile, PROFILES, what="judge profile")
        if self.profile == "mt-bench" and self.prompts is None:
            raise ValueError("profile mt-bench asks with FastChat's prompts; set `prompts` to your judge_prompts.jsonl")
        return self

    def pinned(self) -> JudgeSettings:
        """The same with SHA-256 in place of the files. Raises SourceError for one that is not there."""
        from mixgrid.sources.files import content_hash

        files = {name: content_hash(place) for name in ("prompts", "references") if (place := getattr(self, name))}
        return JudgeSettings(**self.model_dump() | files)
