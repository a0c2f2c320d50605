"""A step: one node of the graph that cells share.

    Step(kind="subsample", settings=SubsampleSettings(proportion=1/4), inputs={"rows": <Step download lab.math>})
        .key    'c0ffee...'  from the kind, its version, the settings and the inputs' keys
        .folder 'subsample/lab.math_1_4-c0ffee0123456789'

A step knows what it is; `mixgrid.steps` knows how each kind is made.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from mixgrid.identity import Key, Runtime, Settings, key_of


class StepLike(Protocol):
    """What the store needs to know of a step."""

    @property
    def kind(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def key(self) -> Key: ...
    @property
    def folder(self) -> str: ...
    @property
    def identity(self) -> dict[str, Any]: ...
    @property
    def input_keys(self) -> Mapping[str, Key | list[Key]]: ...


Inputs = Mapping[str, "Step | Sequence[Step]"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One node. Two steps with equal keys are the same step, whatever made them.

    `label` is for people and follows from the identity alone, so that a key has one folder. `title` is what the
    Prefect UI and the terminal call it. `runtime` travels with the step and is no part of its key.
    """

    kind: str
    settings: Settings
    label: str
    title: str
    version: int = 1
    inputs: Inputs = field(default_factory=dict)
    runtime: Runtime | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Settings as plain JSON values, defaults left out."""
        return self.settings.identity()

    @cached_property
    def input_keys(self) -> dict[str, Key | list[Key]]:
        """The inputs' keys under the inputs' names; a sequence keeps its order."""
        return {n: i.key if isinstance(i, Step) else [s.key for s in i] for n, i in self.inputs.items()}

    @cached_property
    def key(self) -> Key:
        """64 hexadecimal digits."""
        return key_of(self.kind, self.version, self.identity, self.input_keys)

    @cached_property
    def folder(self) -> str:
        """Where the artifact lies, relative to the store's root."""
        return artifact_folder(self.kind, self.label, self.key)

    def parents(self) -> Iterator["Step"]:
        """All input steps, in order."""
        for given in self.inputs.values():
            if isinstance(given, Step):
                yield given
            else:
                yield from given


def artifact_folder(kind: str, label: str, key: Key) -> str:
    """`<kind>/<label>-<key[:16]>`, with a label that every file system and object store takes."""
    safe = re.sub(r"[^A-Za-z0-9._+-]+", "_", label)[:80].strip("._") or kind
    return f"{kind}/{safe}-{key[:16]}"
