"""A study's setting `hidden_states`: which layer of which cells, and of how many queries a source.

    hidden_states: {layer: 15, samples: 100, cells: ["dmt:1/256", "rq4.mixed_sequential:1"]}

A cell is named as in `mixgrid status STUDY --cells`, without its model and seed: it is looked at for every model, at
the first of its seeds, beside the model's base. Nothing else of the study changes: no other step has this in its key.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from mixgrid.identity import Settings
from mixgrid.names import choose, unique

if TYPE_CHECKING:
    from mixgrid.study import Model

Pooling = Literal["last", "mean"]
"""How a query becomes one vector: its last token's state, which alone has seen all of it, or its tokens' mean."""
Samples = Annotated[int, Field(ge=5, le=1000, strict=True)]
Layer = Annotated[int, Field(ge=0, strict=True)]


class HiddenStatesChoice(Settings):
    """`layer` counts as transformers does: 0 is the embeddings, i what the i-th block leaves; the last is normed."""

    layer: Layer
    cells: tuple[str, ...] = Field(min_length=1)
    samples: Samples = 100
    pooling: Pooling = "last"

    @field_validator("cells")
    @classmethod
    def _no_repeats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unique(value, what="cell")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.layer == 0 and self.pooling == "last":
            raise ValueError(
                "layer 0 is the embedding of the last token, the same one in every prompt; take layer 1 or more, or "
                "pooling: mean"
            )
        return self

    def check_study(self, *, models: Iterable["Model"], abilities: Collection[str]) -> None:
        """Raise ValueError for a layer that a model of known shape lacks, or a single ability."""
        from mixgrid.lab.models import LAB_MODELS

        if len(abilities) < 2:
            raise ValueError("hidden_states compares sources, and this study has one ability; leave it out")
        for model in models:
            shape = model.scratch or (LAB_MODELS[model.lab] if model.lab else None)
            if shape is not None and self.layer > shape.layers:
                raise ValueError(
                    f"hidden_states.layer: {self.layer}: model {model.name} has {shape.layers} blocks; use one of 0 to "
                    f"{shape.layers}"
                )

    def check_cells(self, designs: Collection[str]) -> None:
        """Raise ValueError for a cell that the study lacks; `designs` are its cells without model and seed."""
        for cell in self.cells:
            choose(cell, designs, what="cell")
