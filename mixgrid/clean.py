"""What a store holds that no study needs, and its removal.

    garbage = find_garbage([plan], store, keep="all", older_than_s=86_400)
    -> Garbage(found=[Item("snapshot/0123...", reason="snapshots of trainings that are finished", size=..., ...)], ...)
    remove(garbage.found, store)

Needed is what a plan of the given studies names. What is young, being written by a live run, leased by a live step, or
locked is left alone, and so is everything that is no artifact: the judge's paid replies, locks, reports.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mixgrid.execute import WorkOrder
from mixgrid.file_lock import hold
from mixgrid.kept_answers import FOLDER as ANSWERING
from mixgrid.lease import is_left_over
from mixgrid.live import running_now
from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.step import Step
from mixgrid.steps import KIND_ORDER
from mixgrid.steps.sft import training_key
from mixgrid.store import LOCK, RECORD, Store, Stored

SNAPSHOT = "snapshot"
RUNS = "runs"
LEASES = "leases/"
CHECKPOINT_KINDS = ("base", "sft")
NO_STUDY = "artifacts that no study given needs"
ATTEMPTS = "attempts that were never finished"
CHECKPOINTS = "checkpoints that nothing left to run needs"
SNAPSHOTS = "snapshots of trainings that are finished, or of no study given"
ANSWERS = "answers kept of evaluations that are finished, or of no study given"
LEFT_OVER = "leases of steps that are finished, or of no study given"
FORGOTTEN = "runs of studies to be forgotten"
UPLOADS = "uploads that were never finished"

Keep = Literal["all", "final", "needed"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A folder of the store to remove, a lease, or an upload that was never finished; sizes in bytes."""

    path: str
    reason: str
    size: int
    modified: float
    upload: str | None = None


@dataclass
class Garbage:
    """What may go, and how much of what nobody needs is left alone for now."""

    found: list[Item] = field(default_factory=list)
    young: list[Item] = field(default_factory=list)
    in_use: list[Item] = field(default_factory=list)


def find_garbage(
    plans: Iterable[Plan], store: Store, *, keep: Keep = "all", older_than_s: float, forget: Iterable[str] = ()
) -> Garbage:
    """Everything in the store that these studies (their plans looked up) do not need."""
    plans, garbage = list(plans), Garbage()
    objects = store.objects("")
    needs, held = _Needs(plans, keep), _held(objects, store)
    running = {folder for study in store.names(RUNS) for folder in running_now(store, study)}
    items = [*_folders(objects, needs, store), *_forgotten(objects, forget), *_uploads(store)]
    items += [_item(path, LEFT_OVER, [objects[path]]) for path in _leases(objects) if _key(path) not in needs.leased]
    for item in sorted(items, key=lambda item: item.path):
        made = any(item.path == folder or item.path.startswith(f"{folder}/") for folder in running)
        if made or any(key[:16] in item.path for key in held):
            garbage.in_use.append(item)
        elif time.time() - item.modified < older_than_s:
            garbage.young.append(item)
        else:
            garbage.found.append(item)
    return garbage


def remove(items: Iterable[Item], store: Store) -> Iterator[Item]:
    """Remove the items one by one; yields those that are gone. One that somebody has locked meanwhile stays."""
    for item in items:
        if item.upload is not None:
            store.abort_upload(item.path, item.upload)
            yield item
            continue
        if item.reason == LEFT_OVER:
            store.remove(item.path)
            yield item
            continue
        folder = "/".join(item.path.split("/")[:2])
        lock = hold(Path(store.root) / folder / LOCK, wait=False) if store.is_local else nullcontext()
        if lock is not None:
            with lock:
                store.remove_folder(item.path)
            yield item


def other_studies(store: Store, given: Iterable[str]) -> list[str]:
    """Names of studies that were run in this store and are not among those given."""
    return sorted(set(store.names(RUNS)) - set(given))


class _Needs:
    """What the plans need: folders of artifacts, keys of leases, and the names of snapshots and kept answers."""

    def __init__(self, plans: list[Plan], keep: Keep) -> None:

        self.leased: set[str] = set()
        self.trainings: set[str] = set()
        self.answering: set[str] = set()
        kept: set[str] = set()
        checkpoints: set[str] = set()
        self.folders: set[str] = set()
        for plan in plans:
            missing = plan.missing()
            self.leased |= set(missing)
            kept |= {step.folder for step in _kept_checkpoints(plan, missing, keep)}
            for key, step in plan.steps.items():
                (checkpoints if step.kind in CHECKPOINT_KINDS else self.folders).add(step.folder)
                if key in missing and step.kind == "answer":
                    self.answering.add(key[:16])
                elif key in missing and step.kind == "base":
                    self.trainings.add(key[:16])
                elif key in missing and step.kind == "sft":
                    self.trainings.add(training_key(WorkOrder.of(step))[:16])
        self.folders |= kept
        self.dropped = checkpoints - kept

    def reason_to_remove(self, folder: str) -> str | None:
        """Why an artifact, snapshots or kept answers may go; None where they are needed."""
        kind, name = folder.split("/")
        if kind == SNAPSHOT:
            return None if name[:16] in self.trainings else SNAPSHOTS
        if kind == ANSWERING:
            return None if name in self.answering else ANSWERS
        if folder in self.folders:
            return None
        return CHECKPOINTS if folder in self.dropped else NO_STUDY


def _kept_checkpoints(plan: Plan, missing: Mapping[str, Step], keep: Keep) -> Iterator[Step]:
    """Checkpoints that stay, whether they are there or not: what a missing step reads or is, always."""
    read = {parent.key for step in missing.values() for parent in step.parents()} | set(missing)
    final = {chain[-1].key for chain in plan.chains.values()} | {base.key for base in plan.bases.values()}
    for key, step in plan.steps.items():
        if step.kind in CHECKPOINT_KINDS and (keep == "all" or key in read or (keep == "final" and key in final)):
            yield step


def _folders(objects: Mapping[str, Stored], needs: _Needs, store: Store) -> Iterator[Item]:
    """Artifacts, snapshots and kept answers that may go, and unfinished attempts in those that stay."""
    folders: dict[str, dict[str, Stored]] = defaultdict(dict)
    for path, stored in objects.items():
        parts = path.split("/")
        if len(parts) > 2 and parts[0] in (*KIND_ORDER, SNAPSHOT, ANSWERING):
            folders["/".join(parts[:2])][path] = stored
    for folder, inside in folders.items():
        reason = needs.reason_to_remove(folder)
        if reason is None and not folder.startswith(ANSWERING):
            yield from _attempts(folder, inside, store)
        elif reason is not None and {path.rpartition("/")[2] for path in inside} != {LOCK}:
            yield _item(folder, reason, inside.values())


def _attempts(folder: str, inside: Mapping[str, Stored], store: Store) -> Iterator[Item]:
    attempts: dict[str, list[Stored]] = defaultdict(list)
    for path, stored in inside.items():
        name, slash, _ = path[len(folder) + 1 :].partition("/")
        if slash:
            attempts[name].append(stored)
    if len(attempts) < 2 and f"{folder}/{RECORD}" in inside:
        return
    data = store.read_bytes(f"{folder}/{RECORD}")
    try:
        named = Record.from_bytes(data).attempt if data is not None else None
    except ValueError:
        named = None  # a damaged record is not used: neither is what it named
    for name, stored_ones in attempts.items():
        if name != named:
            yield _item(f"{folder}/{name}", ATTEMPTS, stored_ones)


def _forgotten(objects: Mapping[str, Stored], forget: Iterable[str]) -> Iterator[Item]:
    for study in forget:
        inside = [stored for path, stored in objects.items() if path.startswith(f"{RUNS}/{study}/")]
        if inside:
            yield _item(f"{RUNS}/{study}", FORGOTTEN, inside)


def _leases(objects: Mapping[str, Stored]) -> Iterator[str]:
    yield from (path for path in objects if path.startswith(LEASES))


def _key(lease: str) -> str:
    return lease.removeprefix(LEASES).removesuffix(".json")


def _held(objects: Mapping[str, Stored], store: Store) -> set[str]:
    """The keys of steps that somebody is at work on, whatever became of the grid that asked for them."""
    now = time.time()
    return {
        _key(path) for path in _leases(objects) if not is_left_over(store, path, silent_s=now - objects[path].modified)
    }


def _uploads(store: Store) -> Iterator[Item]:
    for path, upload, started in store.unfinished_uploads():
        yield Item(path=path, reason=UPLOADS, size=0, modified=started, upload=upload)


def _item(path: str, reason: str, stored: Iterable[Stored]) -> Item:
    inside = list(stored)
    return Item(
        path=path, reason=reason, size=sum(s.size for s in inside), modified=max(s.modified for s in inside)
    )  # fmt: skip
