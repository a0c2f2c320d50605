"""What training reached so far, from the ledgers of a study, or of a store.

measure(plan, store)
    ->  Measured(trainings=[Training(label="lab.small-s0-...", device="cpu", tokens=65604, flops=1.1e11, ...)])

Speeds are those of the training itself; `hours_of` counts whole steps, loading and saving included: what is paid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.store import Store


@dataclass(frozen=True, kw_only=True)
class Training:
    """One sft record: `device` as its provenance names it, `device_seconds` over all processes."""

    label: str
    device: str
    tokens: int
    flops: float
    device_seconds: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All trainings that were asked for."""

    trainings: Sequence[Training] = ()

    def speed(self, *, device: str, model: str) -> tuple[float, str] | None:
        """FLOP/s a device that this model reached on it, else any model; and which of the two it is."""
        for label, what in ((model, "this model"), (None, "other models")):
            chosen = [t for t in self.trainings if device.lower() in t.device.lower() and _is_of(t, label)]
            seconds = sum(t.device_seconds for t in chosen)
            if seconds:
                return sum(t.flops for t in chosen) / seconds, what
        return None

    def flops_a_token(self, *, model: str) -> float | None:
        """FLOPs a token that this model's trainings took, whatever the device."""
        chosen = [t for t in self.trainings if _is_of(t, model)]
        tokens = sum(t.tokens for t in chosen)
        return sum(t.flops for t in chosen) / tokens if tokens else None


def measure(plan: Plan, store: Store) -> Measured:
    """The plan's own trainings, whose records it has; before the first of them, those of all studies in the store."""
    own = trainings_of(plan.found[key] for key, step in plan.steps.items() if step.kind == "sft" and key in plan.found)
    return Measured(trainings=own or trainings_of(store.records("sft")))


def hours_of(records: Iterable[Record]) -> float:
    """Device-hours that steps took from beginning to end: an hour with eight devices counts eight."""
    seconds = (float(r.provenance.get("seconds", 0)) * int(r.ledger.get("processes", 1)) for r in records)
    return sum(seconds) / 3600


def trainings_of(records: Iterable[Record]) -> list[Training]:
    """Those records that say how long they took."""
    return [
        Training(
            label=record.label,
            device=str(record.provenance.get("device") or record.ledger.get("device")),
            tokens=int(record.ledger["tokens"]),
            flops=float(record.ledger["flops"]),
            device_seconds=float(record.ledger["seconds"]) * int(record.ledger.get("processes", 1)),
        )
        for record in records
        if record.ledger.get("flops") and record.ledger.get("seconds")
    ]


def _is_of(training: Training, model: str | None) -> bool:
    """Labels begin with the base's: `lab.small-s0-...`."""
    return model is None or training.label.startswith(f"{model}-s")
