"""Where and with what a study runs: never part of a key, so that a laptop and eight GPUs share one study file.

# runtime.yaml, given as `mixgrid run STUDY --runtime runtime.yaml`
training: {processes: 8, sharding: full, activation_checkpointing: auto, snapshot_every: {minutes: 10}}
judge: {base_url: http://localhost:8000/v1, concurrency: 32, budget_calls: 5000, cache: s3://bucket/judge}
server: {command: [vllm, serve, "{folder}", --port, "{port}", --served-model-name, "{model}"]}
routes: {base: gpu, sft: gpu, answer: gpu, represent: gpu}
dispatch: {at_once: 32, tries: 3}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from mixgrid.errors import StudyError
from mixgrid.generation.serving import ServerRuntime
from mixgrid.identity import Runtime
from mixgrid.judge.settings import JudgeRuntime
from mixgrid.mistakes import mistakes
from mixgrid.recipe import Positive


class Interval(Runtime):
    """How often a snapshot is taken: after so many minutes, or steps, whichever comes first."""

    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 5.0
    steps: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _form(cls, value: Any) -> Any:
        if isinstance(value, cls) or (isinstance(value, dict) and value.keys() <= cls.model_fields.keys()):
            return value
        raise ValueError("give minutes, steps or both, such as {minutes: 10}")


class TrainingRuntime(Runtime):
    """One machine's way of training. Losses do not depend on it, but for rounding.

    `processes`: one a GPU, or CPU processes that talk through gloo. `sharding: full` spreads weights, gradients and
    optimiser state over them (FSDP2). `row_tokens` is how many tokens are computed at once, `auto`: what memory allows.
    `patience_s`: how long a stage waits for a disk or store that does not take its snapshot or checkpoint.
    """

    processes: Positive = 1
    sharding: Literal["none", "full"] = "none"
    row_tokens: Positive | Literal["auto"] = "auto"
    activation_checkpointing: bool | Literal["auto"] = "auto"
    compile: bool = False
    snapshot_every: Interval = Interval()
    patience_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 300.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sharding == "full" and self.processes == 1:
            raise ValueError("sharding: full has nothing to spread over; add processes: 2 or more, or leave it out")
        return self


DEFAULT = TrainingRuntime()
"""One process, whole weights, as many tokens at once as memory allows."""


class DispatchRuntime(Runtime):
    """How steps go through work pools: no more than `at_once` of one grid on each pool, so many `tries` a step.

    `lease_s`: a step that has told nothing for so long is taken for dead and started anew; it stops itself after half
    of that. `start_s`: how long a run may take to start once a worker has taken it; on a pool whose runs queue
    elsewhere (SLURM, Kubernetes), to get there, and `pending_s`, how long it may queue.
    """

    at_once: Positive = 64
    tries: Positive = 3
    lease_s: Annotated[float, Field(ge=3, allow_inf_nan=False)] = 180.0
    start_s: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 300.0
    pending_s: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 86400.0


RoutedKind = Literal["base", "sft", "represent", "answer"]
"""The expensive kinds, which may run on a work pool; all others run where the grid does."""

PoolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Routes(TypedDict, total=False):
    """Work pools by step kind as a form has them: a kind that is left out, or left empty, has no route."""

    base: Annotated[str, Field(title="base", description="Base models: made once for all cells.")]
    sft: Annotated[str, Field(title="sft", description="Trainings, one a stage.")]
    represent: Annotated[str, Field(title="represent", description="Hidden states, where a study asks for them.")]
    answer: Annotated[str, Field(title="answer", description="Checkpoints that answer a benchmark's prompts.")]


NO_ROUTES: Routes = {}


class StudyRuntime(Runtime):
    """All of a runtime file. `routes`: step kinds to the work pools that run them.

    `unsafe_code`: generated programs run without a sandbox, which no file can ask for.
    """

    training: TrainingRuntime = DEFAULT
    judge: JudgeRuntime = JudgeRuntime()
    server: ServerRuntime | None = None
    routes: dict[RoutedKind, PoolName] = Field(default_factory=dict)
    dispatch: DispatchRuntime = DispatchRuntime()
    unsafe_code: bool = False


def load_runtime(
    given: str | None, *, unsafe_code: bool = False, routes: Mapping[str, object] | None = None
) -> StudyRuntime:
    """Read a runtime file, or the YAML text of one; None is the defaults. `routes` come on top of the file's.

    Raises StudyError with the field and what is allowed.
    """
    name = "the runtime given as text" if given and "\n" in given else f"runtime file {given}"
    document = _document(given, name)
    if routes:
        given_here = {kind: pool for kind, pool in routes.items() if pool}
        document["routes"] = {**(document.get("routes") or {}), **given_here}
    try:
        return StudyRuntime.model_validate(document).model_copy(update={"unsafe_code": unsafe_code})
    except ValidationError as error:
        where = "--route" if given is None else name
        lines = mistakes(error, whole="the file")
        raise StudyError("\n".join(f"{where}, {line}" for line in lines)) from error


def _document(given: str | None, name: str) -> dict[str, Any]:
    if given is None:
        return {}
    try:
        document = yaml.safe_load(given if "\n" in given else Path(given).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError(f"{name}: cannot be read ({error}); give a YAML file") from error
    if not isinstance(document, dict):
        raise StudyError(f"{name}: {document!r} is no mapping; write settings such as training: {{processes: 8}}")
    if "unsafe_code" in document:
        raise StudyError(f"{name}, unsafe_code: only a person can ask for it; give --unsafe-code")
    return document
