"""Reading a study from YAML; the one place where YAML is parsed, and where mistakes get their message.

    load_study("studies/mine.yaml")
        StudyError: studies/mine.yaml, proportions[2]: 1.5: outside (0, 1]; write a fraction such as 1/16

A STUDY is the name of a built-in one (`demo`, `paper`, ...), a path, or a study's own text. `${NAME}` in a path is an
environment variable.
"""

import os
import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mixgrid.errors import StudyError
from mixgrid.mistakes import field_name, mistakes, shown
from mixgrid.study import Study

BUILT_IN = Path(__file__).parent / "studies"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATH_FIELDS = {"path"}


@dataclass(frozen=True)
class StudyFile:
    """A study and the file it was read from. Paths in it are relative to the file's folder.

    `built_in`: there is no folder of the user's beside which a lock could lie.
    """

    study: Study
    path: Path
    built_in: bool


def load_study(name_or_path: str) -> StudyFile:
    """Read a study. Raises StudyError with every mistake: file, field, value, what is allowed."""
    if "\n" in name_or_path.strip():
        path = Path("the study's text")
        return StudyFile(parse_study(name_or_path, path=path), path, built_in=True)
    path, built_in = _locate(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    return StudyFile(parse_study(text, path=path), path, built_in)


def parse_study(text: str, *, path: Path) -> Study:
    """The study in `text`; `path` names it in messages and anchors its relative paths."""
    try:
        return _parse(text, path)
    except RecursionError:
        raise StudyError(f"{path}: not a study: nested too deeply") from None


def _parse(text: str, path: Path) -> Study:
    try:
        document = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        # PyYAML lets a date such as 2024-13-45 end in a ValueError, `!!bool x` in a KeyError, and so on
        raise StudyError(f"{path}: not YAML: {_one_line(error)}") from error
    if not isinstance(document, dict):
        raise StudyError(f"{path}: a study is a mapping with name, abilities, models, ...; found {shown(document)}")
    try:
        return Study.model_validate(_resolve_paths(document, base=path.parent, where=()))
    except ValidationError as error:
        raise StudyError("\n".join(f"{path}, {mistake}" for mistake in mistakes(error, whole="the study"))) from error
    except StudyError as error:
        raise StudyError(f"{path}, {error}") from error


def _locate(name_or_path: str) -> tuple[Path, bool]:
    names = sorted(p.stem for p in BUILT_IN.glob("*.yaml"))
    if name_or_path in names:
        return BUILT_IN / f"{name_or_path}.yaml", True
    path = Path(name_or_path)
    try:
        if path.is_file():
            return path, False
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise StudyError(f"no study {shown(name_or_path)!r}: {error.strerror}") from error
    raise StudyError(f"no study {name_or_path!r}: it is neither a file nor built in; built in: {', '.join(names)}")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice, where PyYAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key_node.value!r} stands twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def _resolve_paths(value: Any, *, base: Path, where: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {
            k: _resolve_path(v, base=base, where=(*where, str(k)))
            if k in _PATH_FIELDS
            else _resolve_paths(v, base=base, where=(*where, str(k)))
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_resolve_paths(v, base=base, where=(*where, str(i))) for i, v in enumerate(value)]
    return value


def _resolve_path(value: Any, *, base: Path, where: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_resolve_path(v, base=base, where=(*where, str(i))) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if name not in os.environ:
            raise StudyError(f"{field_name(where)}: {value!r} needs the environment variable {name}; set it")
    expanded = _VARIABLE.sub(lambda match: os.environ[match.group(1)], value)
    return expanded if "://" in expanded else str(base / Path(expanded).expanduser())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
