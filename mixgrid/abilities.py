"""What a study says of an ability: the source that teaches it, and the benchmarks that measure it.

Ability(source=SourceChoice(name="lab.math"), benchmarks=(BenchmarkChoice(name="lab.math"),))
"""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mixgrid.filters import FilterChoice
from mixgrid.identity import Settings
from mixgrid.names import choose, named_form, unique
from mixgrid.recipe import Positive

Paths = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v), Field(min_length=1)]


class SourceChoice(Settings):
    """A built-in source by name, or the user's own data by form and place (`path`, or `hub`).

    `without`: the filters whose look-alikes are removed from it, such as `[code, math]`.
    """

    name: str | None = None
    form: Literal["sharegpt", "alpaca", "messages", "query_response"] | None = None
    path: Paths | None = None
    hub: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    rows: Positive | None = None
    held_out: Annotated[int, Field(ge=0, strict=True)] | None = None
    without: tuple[Annotated[FilterChoice, BeforeValidator(named_form)], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        from mixgrid.sources import GeneratedSource, load_sources

        unique([chosen.name for chosen in self.without], what="filter")
        if self.name is None:
            if self.form is None:
                raise ValueError("needs `name` of a built-in source, or `form` and `path` or `hub` of your own data")
            if self.path is None and self.hub is None:
                raise ValueError("own data needs `path` (a file, a list of files or an s3:// URL) or `hub`")
        else:
            choose(self.name, load_sources(), what="source")
            if isinstance(load_sources()[self.name], GeneratedSource) and (self.path or self.hub or self.form):
                raise ValueError(f"{self.name} is generated; only `rows` and `held_out` can be set")
        if self.path and self.hub:
            raise ValueError("`path` and `hub` exclude each other; give one")
        if not self.hub and self.name is None and (self.config or self.split or self.revision):
            raise ValueError("`config`, `split` and `revision` belong to a `hub` dataset")
        return self

    @property
    def training_rows(self) -> int | None:
        """How many rows are trained on, as declared here or by the built-in source; None where nobody can say."""
        from mixgrid.sources import GeneratedSource, load_sources

        known = load_sources().get(self.name or "")
        rows = None if self.without else self.rows or (known.rows if known else None)
        if rows is None or isinstance(known, GeneratedSource):
            return rows
        return rows - (self.held_out or 0)


class BenchmarkChoice(Settings):
    """A benchmark by name, with where its data lies and how much of it is asked.

    `out_of_domain`: it stands apart in the report, and no finding or law rests on it. `experiments`: only their
    checkpoints are asked, and the bases of those.
    """

    name: str
    path: Paths | None = None
    rows: Positive | None = None
    items: Positive | None = None
    max_new_tokens: Annotated[int, Field(ge=1, le=16384, strict=True)] | None = None
    out_of_domain: bool = False
    experiments: tuple[str, ...] | None = Field(default=None, min_length=1)

    def asks(self, experiments: Collection[str]) -> bool:
        """Whether it asks a checkpoint that these experiments name; `rq1@1e-05` is rq1."""
        return self.experiments is None or any(name.partition("@")[0] in self.experiments for name in experiments)

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        from mixgrid.benchmarks import load_benchmarks

        return choose(value, load_benchmarks(), what="benchmark")

    @model_validator(mode="after")
    def _check(self) -> Self:
        from mixgrid.benchmarks import load_benchmarks
        from mixgrid.sources import PublishedSource, load_sources

        data = load_benchmarks()[self.name].data
        if self.path and not (data and isinstance(load_sources()[data], PublishedSource)):
            raise ValueError(f"{self.name} has no data of its own to read; remove `path`")
        return self


class Ability(Settings):
    """One source that teaches an ability, and the benchmarks that measure it, if there are any.

    `filter` says what a conversation of another source looks like that would teach it too; the built-in filter of the
    ability's own name, where there is one, needs no saying.
    """

    source: Annotated[SourceChoice, BeforeValidator(named_form)]
    benchmarks: tuple[Annotated[BenchmarkChoice, BeforeValidator(named_form)], ...] = ()
    filter: Annotated[FilterChoice, BeforeValidator(named_form)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        unique([b.name for b in self.benchmarks], what="benchmark")
        return self
