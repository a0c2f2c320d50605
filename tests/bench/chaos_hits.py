"""What is killed, when, and how long it takes until the work goes on.

    hits = Hits(cluster, random.Random(0), kills=5)
    hits.strike(study)           # often: now and then something dies
    hits.all[0].told() -> {"part": "step", "of": "sft/...", "away_s": 0.0, "took_s": 11.2, ...}

The work goes on: for what hits one step, once another holder has its lease (after a cut of the network also the same
one, heard of again) or it is there; for a grid, once the next one tells the store that it lives; for all else, once
some step is begun or is there that was not, and the server, if it was away, answers.
"""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from chaos_cluster import WORKERS, Cluster, machine_of
from chaos_watch import now
from cluster_box import kill, leases

PARTS = ("grid", "worker", "step", "process", "machine", "server", "database", "store", "network")
PAUSE_S = (2.0, 10.0)
"""Between two kills: many come before the last one is got over."""
AWAY_S = (0.5, 14.0)
"""With a lease of 10 s: shorter than half of it, and much longer than all."""
WAIT_S = 60.0
"""How long a kill waits for such a part to be there: a step at work, say."""
REFUSED = "no Prefect server answers there"


class Study:
    """A study and its grid, which is started again when it was killed."""

    def __init__(self, path: Path, name: str, cluster: Cluster) -> None:
        self.path, self.name, self.cluster = path, name, cluster
        self.store = cluster.s3.files / name
        self.killed = False
        self._again_at: float | None = None
        self._start()

    def _start(self) -> None:
        self.killed, self._again_at = False, None
        self.grid = self.cluster.start_grid(self.path, f"s3://bucket/{self.name}", f"grid-{self.name}")

    def ended(self) -> bool:
        """Whether it ended well. A grid that was killed is started again, as is one that found no server."""
        status = self.grid.poll()
        if status is None or status == 0:
            return status == 0
        if not self.killed and self._again_at is None:
            words = (self.cluster.folder / f"grid-{self.name}.log").read_text()[-6000:]
            if REFUSED not in words.rstrip().rpartition("\n")[2]:
                raise SystemExit(f"the grid of {self.name} ended with {status}:\n{words}")
            print("  (the grid found no server, and is started again)", file=sys.stderr, flush=True)
        if self._again_at is None:
            self._again_at = now() + self.cluster.dice.uniform(0.5, 3)
        if now() > self._again_at:
            self._start()
        return False

    def records(self) -> set[str]:
        """The artifacts that are there, by the beginning of their keys; snapshots, which come and go, are none."""
        found = self.store.glob("*/*/record.json")
        return {path.parent.name[-16:] for path in found if path.parent.parent.name != "snapshot"}

    def lives(self) -> bool:
        """Whether this very grid has told the store that it is there."""
        return any(self.store.glob(f"runs/*/*-{self.grid.pid}.json"))


@dataclass
class Hit:
    """One kill. `recovered` is asked once what was taken away is back."""

    part: str
    of: str
    when: float
    away_s: float
    recovered: Callable[[], bool]
    took_s: float | None = None

    def told(self) -> dict[str, Any]:
        """As plain figures."""
        return {"part": self.part, "of": self.of, "away_s": round(self.away_s, 1), "took_s": round(self.took_s or 0, 1)}


class Hits:
    """So many kills, at random moments, of all kinds of parts in an order by chance."""

    def __init__(self, cluster: Cluster, dice: random.Random, kills: int) -> None:
        self.cluster, self.dice, self.left = cluster, dice, kills
        self.all: list[Hit] = []
        self._deck: list[str] = []
        self._next = now() + dice.uniform(4, 12)

    def strike(self, study: Study) -> None:
        """Kill something if it is time; note what has recovered."""
        self.note(study)
        if not self.left or now() < self._next:
            return
        parts = [part for part in PARTS if part != "database" or self.cluster.postgres]
        self._deck = self._deck or self.dice.sample(parts, len(parts))
        hit = self._hit(self._deck[-1], study)
        if hit is not None or now() > self._next + WAIT_S:
            self._deck.pop()
        if hit is not None:
            self.left -= 1
            self.all.append(hit)
            self._next = now() + self.dice.uniform(*PAUSE_S)
            away = f", away for {hit.away_s:.1f} s" if hit.away_s else ""
            print(f"  {study.name}: kill {len(self.all)}: {hit.part} {hit.of}{away}", file=sys.stderr, flush=True)

    def note(self, study: Study) -> None:
        """Take the time of what has recovered; with its end a study has got over everything."""
        for hit in self.all:
            back = now() > hit.when + hit.away_s + 0.5 and not (hit.away_s and hit.of in self.cluster.down)
            if hit.took_s is None and (study.grid.poll() == 0 or (back and hit.recovered())):
                hit.took_s = now() - hit.when

    def _hit(self, part: str, study: Study) -> Hit | None:
        held = sorted(leases(study.store).items())
        if part in ("step", "process", "machine", "network"):
            return self._hit_step(part, study, *self.dice.choice(held)) if held else None
        away_s = self.dice.uniform(*AWAY_S) if part in ("server", "database", "store") else 0.0
        if part in self.cluster.down:
            return None
        if part == "grid":
            if study.grid.poll() is not None or not study.lives():
                return None
            study.killed = True
            study.grid.kill()
            before = study.grid.pid
            return Hit(part, "grid", now(), 0.0, lambda: study.grid.pid != before and study.lives())
        of, moves = part, self._moves(study)
        if part == "worker":
            of = self.dice.choice(WORKERS)
            if of in self.cluster.down or of not in self.cluster.box.workers:
                return None
            self.cluster.kill_worker(of)
        else:
            {
                "server": self.cluster.kill_server,
                "database": self.cluster.kill_database,
                "store": self.cluster.kill_store,
            }[part](away_s)
        return Hit(part, of, now(), away_s, moves)

    def _hit_step(self, part: str, study: Study, key: str, told: dict[str, Any]) -> Hit | None:
        pid, machine = int(told["pid"]), machine_of(int(told["pid"]))
        if machine is None or machine in self.cluster.down:
            return None
        away_s, of = 0.0, f"{key[:8]} on {machine}"

        def another() -> bool:
            holder = leases(study.store).get(key, {}).get("holder")
            return key[:16] in study.records() or holder not in (None, told["holder"])

        if part == "step":
            kill(pid)
        elif part == "process":
            if (child := _child(pid)) is None:
                return None
            kill(child)
        elif part == "machine":
            away_s, of = self.dice.uniform(*AWAY_S), machine
            self.cluster.kill_machine(machine, away_s)
        else:
            return self._cut(study, self.dice.choice((machine, machine, "grid")), key, another)
        return Hit(part, of, now(), away_s, another)

    def _cut(self, study: Study, machine: str, key: str, another: Callable[[], bool]) -> Hit | None:
        if (of := f"network of {machine}") in self.cluster.down:
            return None
        to = self.dice.choice((("store",), ("server",), ("store", "server")))
        away_s, silent, at_mend = self.dice.uniform(*AWAY_S), self.dice.random() < 0.5, list[int]()
        moves = self._moves(study) if machine == "grid" else another
        self.cluster.cut_network(machine, to, away_s, silent=silent)

        def heard() -> bool:
            count = int(leases(study.store).get(key, {}).get("count", 0))
            at_mend.append(count)
            return moves() or (machine != "grid" and count > at_mend[0])

        return Hit("network", of, now(), away_s, heard)

    def _moves(self, study: Study) -> Callable[[], bool]:
        """Whether, since the first time that this is asked, a step has begun or is there that was not."""
        before: list[tuple[set[str], set[str]]] = []

        def moved() -> bool:
            if not self.cluster.box.answers():
                return False
            now_there = study.records(), {told["holder"] for told in leases(study.store).values()}
            before.append(now_there)
            return any(new - old for new, old in zip(now_there, before[0], strict=True))

        return moved


def _child(pid: int) -> int | None:
    """The process that makes the step, if it is there already."""
    try:
        return next((child.pid for child in psutil.Process(pid).children()), None)
    except psutil.NoSuchProcess:
        return None
