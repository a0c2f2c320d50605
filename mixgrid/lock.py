"""The lock: hub revisions that were looked up once, kept beside the study file.

    # mine.lock
    datasets/sahil2801/CodeAlpaca-20k: 1a2b3c...
    huggyllama/llama-7b: 4d5e6f...

A built-in study's lock lies in the store, under `locks/`.
"""

from collections.abc import Iterable
from pathlib import Path

import yaml

from mixgrid.errors import SourceError, StudyError
from mixgrid.store import Store
from mixgrid.study_file import StudyFile


def read_lock(file: StudyFile, store: Store) -> dict[str, str]:
    """The revisions found earlier; empty when there are none."""
    data = store.read_bytes(_in_store(file)) if file.built_in else _read(_beside(file))
    try:
        lock = yaml.safe_load(data) if data else {}
    except yaml.YAMLError as error:
        raise StudyError(f"{_beside(file)}: not YAML ({error}); delete it to look revisions up again") from error
    if not isinstance(lock, dict) or not all(isinstance(v, str) for v in lock.values()):
        raise StudyError(f"{_beside(file)}: not a mapping of names to revisions; delete it to look them up again")
    return lock


def resolve(names: Iterable[str], file: StudyFile, store: Store) -> dict[str, str]:
    """Look up the newest revision of each hub name, write the lock, return all of it. Raises SourceError offline."""
    from huggingface_hub import HfApi

    lock = read_lock(file, store)
    for name in names:
        try:
            dataset = name.removeprefix("datasets/")
            info = HfApi().dataset_info(dataset) if dataset != name else HfApi().model_info(name)
        except Exception as error:
            raise SourceError(
                f"hub: the revision of {name} cannot be looked up ({type(error).__name__}); check the name and the "
                "network, or give `revision`, or a local copy with `path`"
            ) from error
        lock[name] = str(info.sha)
    text = yaml.safe_dump(lock, sort_keys=True).encode()
    if file.built_in:
        store.write_atomically(_in_store(file), text)
    else:
        _beside(file).write_bytes(text)
    return lock


def _beside(file: StudyFile) -> Path:
    return file.path.with_suffix(".lock")


def _in_store(file: StudyFile) -> str:
    return f"locks/{file.study.name}.lock"


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
