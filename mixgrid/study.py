"""A study: a question with its axes, as typed settings. `mixgrid.study_file` reads one from YAML.

Study(name="forgetting", question="Do small models ...?", abilities={"math": Ability(source=...), ...},
      specialised=("code", "math"), models=(Model(name="lab.small", lab="lab.small"),),
      proportions=(1, 1/4), seeds=(0, 1, 2), experiments=(ExperimentChoice(name="dmt"),), recipe=Recipe(...))
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from mixgrid.abilities import Ability, SourceChoice
from mixgrid.experiments import Axes, load_experiments
from mixgrid.filters import FILTERED, FilterChoice, load_filters
from mixgrid.identity import Proportion, Settings
from mixgrid.judge.settings import JudgeChoice
from mixgrid.mistakes import mistakes
from mixgrid.names import choose, named_form, unique
from mixgrid.recipe import Number, Positive, Rate, Recipe
from mixgrid.representation.choice import HiddenStatesChoice

Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
TemplateName = Literal["vicuna", "plain", "chat"]


class LlamaShape(Settings):
    """A LLaMA trained from scratch. `vocabulary_size` is its tokenizer's, trained on the study's sources."""

    hidden_size: Positive
    intermediate_size: Positive
    layers: Positive
    heads: Positive
    vocabulary_size: Annotated[int, Field(ge=300, le=200_000, strict=True)]
    tied_embeddings: bool = False
    initializer_range: Annotated[Number, Field(gt=0, lt=1)] = 0.02

    @property
    def parameters(self) -> int:
        """How many weights it has, if its tokenizer fills the vocabulary."""
        layer = 4 * self.hidden_size**2 + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size
        words = self.vocabulary_size * self.hidden_size * (1 if self.tied_embeddings else 2)
        return words + self.layers * layer + self.hidden_size

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of 2 x heads ({2 * self.heads}); each head needs an "
                "even size"
            )
        return self


class Model(Settings):
    """A base model: one of the lab's sizes, a path, a hub name, or `scratch` with a declared shape."""

    name: Name
    lab: str | None = None
    path: str | None = None
    hub: str | None = None
    revision: str | None = None
    scratch: LlamaShape | None = None
    template: TemplateName | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        from mixgrid.lab.models import LAB_MODELS

        if isinstance(value, str) and value not in LAB_MODELS:
            try:
                choose(value, LAB_MODELS, what="model")
            except ValueError as error:
                raise ValueError(f"{error}; or give name and hub, path or scratch") from None
        return {"name": value, "lab": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        kinds = [kind for kind in ("lab", "path", "hub", "scratch") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"needs exactly one of lab, path, hub and scratch, has {', '.join(kinds) or 'none'}")
        if self.revision and not self.hub:
            raise ValueError("`revision` belongs to a `hub` model")
        if self.lab is not None:
            from mixgrid.lab.models import LAB_MODELS

            choose(self.lab, LAB_MODELS, what="lab model")
        return self


class ExperimentChoice(Settings):
    """An experiment, with its own seeds, proportions or recipe where it needs others than the study's.

    `recipe` replaces single settings, such as `{budget: {steps: 200}}` for a control at matched steps; `label` tells
    two choices of one experiment apart.
    """

    name: str
    label: Name | None = None
    seeds: tuple[Seed, ...] | None = Field(default=None, min_length=1)
    proportions: tuple[Proportion, ...] | None = Field(default=None, min_length=1)
    recipe: dict[str, Any] = Field(default_factory=dict)
    peak_learning_rates: tuple[Rate, ...] | None = Field(default=None, min_length=1)
    evaluate_at: tuple[Proportion, ...] | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        return choose(value, load_experiments(), what="experiment")

    @field_validator("seeds", "proportions", "peak_learning_rates", "evaluate_at")
    @classmethod
    def _no_repeats(cls, value: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        unique(value or (), what="value")
        return value


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An experiment as a study runs it: its own label, recipe, seeds, axes and points of evaluation."""

    name: str
    label: str
    recipe: Recipe
    seeds: tuple[int, ...]
    axes: Axes
    evaluate_at: tuple[Fraction, ...]


class GenerationChoice(Settings):
    """How all checkpoints of a study answer. In reduced precision a batch changes answers, so all of it is identity."""

    engine: Literal["transformers", "continuous", "server"] = "transformers"
    batch_size: Annotated[int, Field(ge=1, le=4096, strict=True)] = 128
    dtype: Literal["float32", "bfloat16"] = "float32"


class Study(Settings):
    """A question with its axes. Seeds are training seeds; the subset and base seeds are the same for all of them."""

    name: Name
    question: str = ""
    abilities: dict[Name, Ability] = Field(min_length=1)
    specialised: tuple[str, ...] = ()
    models: tuple[Model, ...] = Field(min_length=1)
    proportions: tuple[Proportion, ...] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    experiments: tuple[Annotated[ExperimentChoice, BeforeValidator(named_form)], ...] = Field(min_length=1)
    recipe: Recipe
    peak_learning_rates: tuple[Rate, ...] | None = Field(default=None, min_length=1)
    evaluate_at: tuple[Proportion, ...] = ()
    template: TemplateName | None = None
    generation: GenerationChoice = GenerationChoice()
    judge: JudgeChoice | None = None
    hidden_states: HiddenStatesChoice | None = None
    max_length: Annotated[int, Field(ge=8, strict=True)] = 2048
    subset_seed: Seed = 0
    base_seed: Seed = 0

    @field_validator("specialised", "proportions", "seeds", "peak_learning_rates", "evaluate_at")
    @classmethod
    def _no_repeats(cls, value: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        unique(value or (), what="value")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(ability.benchmarks for ability in self.abilities.values()):
            raise ValueError("no ability has a benchmark, so nothing would be measured; add `benchmarks` to one")
        self._check_judge()
        self._check_benchmarks()
        for ability in self.specialised:
            choose(ability, self.abilities, what="ability")
        unique([m.name for m in self.models], what="model")
        for model in self.models:
            if (model.template or self.template) == "chat" and (model.lab or model.scratch):
                raise ValueError(
                    f"model {model.name}: a tokenizer trained here has no chat template of its own; use template "
                    "vicuna or plain"
                )
        if self.hidden_states is not None:
            self.hidden_states.check_study(models=self.models, abilities=self.abilities)
        variants = self.variants()
        unique([v.label for v in variants], what="experiment")
        for variant in variants:
            load_experiments()[variant.name].check(variant.axes)
        return self

    def _check_judge(self) -> None:
        from mixgrid.benchmarks import load_benchmarks

        asked = {choice.name for ability in self.abilities.values() for choice in ability.benchmarks}
        judged = sorted(name for name in asked if load_benchmarks()[name].judged)
        if judged and self.judge is None:
            raise ValueError(f"{judged[0]} is scored by a judge; add one, such as judge: {{model: gpt-4, ...}}")

    def _check_benchmarks(self) -> None:
        known = [choice.label or choice.name for choice in self.experiments]
        for ability in self.abilities.values():
            for choice in ability.benchmarks:
                for experiment in choice.experiments or ():
                    choose(experiment, known, what=f"experiment of this study, for {choice.name},")

    def filters(self) -> dict[str, FilterChoice]:
        """What tells a look-alike of each ability that has a filter."""
        own = {name: FilterChoice(name=name) for name in self.abilities if name in load_filters()}
        return own | {name: ability.filter for name, ability in self.abilities.items() if ability.filter is not None}

    def source(self, name: str) -> SourceChoice:
        """An ability's source by the ability's name; with `filtered ` before it, without what looks specialised."""
        if not name.startswith(FILTERED):
            return self.abilities[name].source
        source, filters = self.abilities[name.removeprefix(FILTERED)].source, self.filters()
        added = [filters[ability] for ability in self.specialised if filters[ability] not in source.without]
        return source.model_copy(update={"without": (*source.without, *added)})

    def variants(self) -> list[Variant]:
        """The experiments in order, each as often as it has learning rates; `rq1@1e-05` is rq1 at one of several."""
        general = tuple(a for a in self.abilities if a not in self.specialised)
        rows = {name: ability.source.training_rows for name, ability in self.abilities.items()}
        found = []
        for choice in self.experiments:
            label = choice.label or choice.name
            rates = choice.peak_learning_rates or self.peak_learning_rates
            for rate in rates or (None,):
                recipe = self._recipe(choice)
                recipe = recipe if rate is None else recipe.changed({"peak_learning_rate": rate})
                variant = Variant(
                    name=choice.name,
                    label=label if rate is None else f"{label}@{_short(rate)}",
                    recipe=recipe,
                    seeds=choice.seeds or self.seeds,
                    axes=Axes(
                        specialised=self.specialised,
                        general=general,
                        filters=tuple(self.filters()),
                        rows=rows,
                        recipe=recipe,
                        proportions=choice.proportions or self.proportions,
                    ),
                    evaluate_at=tuple(sorted(self.evaluate_at if choice.evaluate_at is None else choice.evaluate_at)),
                )
                found.append(variant)
        return found

    def _recipe(self, choice: ExperimentChoice) -> Recipe:
        try:
            return self.recipe.changed(choice.recipe)
        except ValidationError as error:
            lines = mistakes(error, whole="recipe", under="recipe")
            raise ValueError(f"experiment {choice.label or choice.name}, {'; '.join(lines)}") from None


def _short(rate: float) -> str:
    """`1e-05`; with more digits where a learning rate has them, so that no two read alike."""
    short = f"{rate:g}"
    return short if float(short) == rate else repr(rate)
