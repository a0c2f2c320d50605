"""Chaos: random parts of a cluster are killed at random moments, until every study has ended all the same.

    python tests/bench/chaos.py --seeds 0 1 2 3 4 5 6 7 8 9 --kills 5

For each seed a small study runs again and again, each time into a store of its own, until its kills are spent: with -9
the grid, a worker, a step, its worker process, a whole machine, the Prefect server, its database (PostgreSQL where it
is installed) or the S3 store, or the network of one machine, cut with or without a word. All of them are started again.
Meanwhile proxies answer 500 and 503, cut connections and wait. A line of JSON for each seed; status 1 unless all
results and files equal an undisturbed run's to the byte and no two runs ever worked on one step at once.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent / "box"))
from chaos_cluster import Cluster
from chaos_hits import Hits, Study
from chaos_watch import Try, Watch, gaps, now
from cluster_study import STUDY

RUNTIME = """
routes: {base: gpu, sft: gpu}
dispatch: {lease_s: 10, tries: 50, start_s: 30}
training: {snapshot_every: {steps: 300}}
"""
LOOK_EVERY_S, STUCK_S = 5.0, 300.0
CALM = "calm"


def main() -> int:
    """One calm run, then studies under fire for each seed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    options.add_argument("--kills", type=int, default=5, help="for each seed")
    options.add_argument("--steps", type=int, default=1500, help="optimiser steps a stage")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mixgrid-chaos-"))
    (folder / "small.yaml").write_text(STUDY.replace("STEPS", str(given.steps)))
    (folder / "runtime.yaml").write_text(RUNTIME)
    reports = []
    with Cluster(folder, random.Random(0)) as cluster, Watch() as watch:
        chaos = Chaos(cluster, watch, folder / "small.yaml")
        began = now()
        chaos.study(CALM, None)
        tell(f"undisturbed: {now() - began:.0f} s")
        for seed in given.seeds:
            reports.append(chaos.seed(seed, kills=given.kills))
            print(json.dumps(reports[-1]), flush=True)
    tell(summary(reports))
    bad = any(report["different"] or report["twice"] for report in reports)
    if not bad:
        shutil.rmtree(folder)
    return 1 if bad else 0


class Chaos:
    """Studies one after the other in one cluster."""

    def __init__(self, cluster: Cluster, watch: Watch, study: Path) -> None:
        self.cluster, self.watch, self.path = cluster, watch, study

    def seed(self, seed: int, *, kills: int) -> dict[str, Any]:
        """Studies under fire until the kills are spent, and what came of them."""
        self.cluster.dice = dice = random.Random(seed)
        hits, studies, different, began = Hits(self.cluster, dice, kills), 0, 0, now()
        while hits.left:
            name = f"seed{seed}-{studies}"
            for machine in self.cluster.machines.values():
                machine.faults(name)
            studies += 1
            self.study(name, hits)
            for machine in self.cluster.machines.values():
                machine.mend()
            same = self._made(name) == self._made(CALM)
            different += not same
            tell(f"seed {seed}: study {studies} ended after {len(hits.all)} kills; {'equal' if same else 'DIFFERENT'}")
        apart = self._apart(f"s3://bucket/seed{seed}-")
        return {
            "seed": seed, "kills": len(hits.all), "studies": studies, "different": different,
            "seconds": round(now() - began),
            "twice": [f"{what}: {gap:.2f} s" for what, gap in apart if gap < 0],
            "changed_hands": len(apart), "closest_s": round(min((gap for _, gap in apart), default=0), 2),
            "looked_every_s": round(self.watch.longest_look_s, 2),
            "hits": [hit.told() for hit in hits.all], "restarted": dict(self.cluster.ended_by_themselves),
            "faults": {name: dict(m.proxies["store"].faults) for name, m in self.cluster.machines.items()},
        }  # fmt: skip

    def study(self, name: str, hits: Hits | None) -> None:
        """One study to its end, whatever happens meanwhile."""
        study = Study(self.path, name, self.cluster)
        moved, there = now(), set[str]()
        while not study.ended():
            self.cluster.supervise()
            if hits is not None:
                hits.strike(study)
            if now() - moved > LOOK_EVERY_S and (self.cluster.down or study.records() != there):
                moved, there = now(), study.records()
            if now() - moved > STUCK_S:
                raise SystemExit(f"{name} has not moved for {STUCK_S:g} s; see {self.cluster.folder}")
            time.sleep(0.1)
        while self.cluster.down or not self.cluster.box.answers():
            self.cluster.supervise()
            time.sleep(0.1)
        if hits is not None:
            hits.note(study)

    def _made(self, name: str) -> tuple[bytes, dict[str, str]]:
        """The results, and the SHA-256 of every file that a record names, but for the page, which has times."""
        results = self.cluster.call("results", self.path, "--store", f"s3://bucket/{name}", "--format", "json")
        store = self.cluster.s3.files / name
        return results, {
            f"{path.parent.parent.name}/{path.parent.name}/{file}": entry["sha256"]
            for path in store.glob("*/*/record.json")
            if path.parent.parent.name != "snapshot"
            for file, entry in json.loads(path.read_text())["files"].items()
            if file != "report.html"
        }

    def _apart(self, stores: str) -> list[tuple[str, float]]:
        """(step, seconds between the end of one run's work on it and the begin of the next one's); below 0: at once."""
        tries = [each for each in self.watch.tries if each.store.startswith(stores)]
        keys = self._keys_of({each.run for each in tries if not each.run.startswith("grid ")})

        def what(each: Try) -> str:
            return f"{each.store} {keys.get(each.run, 'steps of the grid')}"

        return [(step, gap) for step, of in gaps(tries, what).items() for gap, _, _ in of]

    def _keys_of(self, runs: set[str]) -> dict[str, str]:
        body = {"flow_runs": {"id": {"any_": sorted(runs)}}, "limit": 200}
        found = httpx.post(f"{self.cluster.box.api}/flow_runs/filter", json=body, timeout=60).raise_for_status().json()
        keys = {run["id"]: str(run["parameters"]["order"]["key"]) for run in found}
        assert set(keys) == runs, "the server has forgotten runs"
        return keys


def summary(reports: list[dict[str, Any]]) -> str:
    """For a person: what was killed how often, and how long until the work went on."""
    hits: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for report in reports:
        for hit in report["hits"]:
            hits[hit["part"]].append(hit)
    total = {name: sum(report[name] for report in reports) for name in ("kills", "studies", "different")}
    twice = sum(len(report["twice"]) for report in reports)
    lines = [
        f"{total['kills']} kills in {total['studies']} studies; {total['different']} differ from the calm one; "
        f"steps worked on twice at once: {twice}",
        f"{'part':10} kills  away (s)  until the work went on, from the kill (s): least, median, most",
    ]
    for part, of in sorted(hits.items()):
        took = sorted(hit["took_s"] for hit in of)
        away = f"{min(h['away_s'] for h in of):.0f} to {max(h['away_s'] for h in of):.0f}"
        lines.append(f"{part:10} {len(of):5}  {away:8}  {took[0]:.0f}, {statistics.median(took):.0f}, {took[-1]:.0f}")
    return "\n".join(lines)


def tell(text: str) -> None:
    """To a person, at once."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
