"""Where and with what a study runs: never part of a key, so that a laptop and eight GPUs share one study file.

# runtime.yaml, given as `mixgrid run STUDY --runtime runtime.yaml`
training: {processes: 8, sharding: full, activation_checkpointing: auto, snapshot_every: {minutes: 10}}
judge: {base_url: http://localhost:8000/v1, concurrency: 32, budget_calls: 5000, cache: s3://bucket/judge}
server: {command: [vllm, serve, "{folder}", --port, "{port}", --served-model-name, "{model}"]}
"""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from mixgrid.errors import StudyError
from mixgrid.generation.serving import ServerRuntime
from mixgrid.identity import Runtime
from mixgrid.judge.settings import JudgeRuntime
from mixgrid.recipe import Positive


class Interval(Runtime):
    """How often a snapshot is taken: after so many minutes, or steps, whichever comes first."""

    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 5.0
    steps: Positive | None = None


class TrainingRuntime(Runtime):
    """One machine's way of training. Losses do not depend on it, but for rounding.

    `processes`: one a GPU, or CPU processes that talk through gloo. `sharding: full` spreads weights, gradients and
    optimiser state over them (FSDP2). `row_tokens` is how many tokens are computed at once, `auto`: what memory allows.
    `patience_s`: how long a stage waits for a store that does not take its snapshot before it gives up.
    """

    processes: Positive = 1
    sharding: Literal["none", "full"] = "none"
    row_tokens: Positive | Literal["auto"] = "auto"
    activation_checkpointing: bool | Literal["auto"] = "auto"
    compile: bool = False
    snapshot_every: Interval = Interval()
    patience_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 300.0


DEFAULT = TrainingRuntime()
"""One process, whole weights, as many tokens at once as memory allows."""


class StudyRuntime(Runtime):
    """All of a runtime file, and `unsafe_code`: generated programs run without a sandbox, which no file can ask for."""

    training: TrainingRuntime = DEFAULT
    judge: JudgeRuntime = JudgeRuntime()
    server: ServerRuntime | None = None
    unsafe_code: bool = False


def load_runtime(path: str | None, *, unsafe_code: bool = False) -> StudyRuntime:
    """Read a runtime file; None is the defaults. Raises StudyError with the field and what is allowed."""
    return _read(path).model_copy(update={"unsafe_code": unsafe_code})


def _read(path: str | None) -> StudyRuntime:
    if path is None:
        return StudyRuntime()
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        if isinstance(document, dict) and "unsafe_code" in document:
            raise StudyError(f"runtime file {path}, unsafe_code: only a person can ask for it; give --unsafe-code")
        return StudyRuntime.model_validate(document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError(f"runtime file {path}: cannot be read ({error}); give a YAML file") from error
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = [f"{'.'.join(map(str, d['loc'])) or 'the file'}: {d['input']!r}: {d['msg']}" for d in details]
        raise StudyError("\n".join(f"runtime file {path}, {line}" for line in lines)) from error
