"""docker/Dockerfile without a container engine: its lines, carried out in a folder that holds a clean Debian.

    debootstrap --include=ca-certificates,python3-venv bookworm ROOT
    python tests/box/dockerfile_lines.py ROOT --target cpu TORCH_INDEX=file:///wheels

Each RUN is one `sh -c` in a chroot of ROOT, as the user, in the folder and with the environment that the lines before
it say; COPY copies. What FROM names is ROOT itself: Debian's Python stands in for the official image's. Needs root.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
DOCKERFILE = REPOSITORY / "docker/Dockerfile"


@dataclass
class Image:
    """What the lines so far have set."""

    root: Path
    arguments: dict[str, str]
    user: str = "root"
    folder: str = "/"
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )

    def inside(self, *command: str) -> list[str]:
        """A command line that runs `command` in there."""
        home = "/root" if self.user == "root" else f"/home/{self.user}"
        variables = {"HOME": home, **self.arguments, **self.environment}
        inside = [
            "env",
            "-i",
            *(f"{n}={v}" for n, v in variables.items()),
            "sh",
            "-c",
            'cd "$0" && exec "$@"',
            self.folder,
        ]
        as_user = ["chroot", f"--userspec={self.user}:{self.user}", str(self.root)]
        mounted = f'mount -t proc proc "{self.root}/proc" && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mounted, "sh", *as_user, *inside, *command]

    def run(self, line: str) -> None:
        """RUN, in its form without brackets."""
        subprocess.run(self.inside("sh", "-c", line), check=True)

    def copy(self, line: str) -> None:
        """COPY [--chown=USER] FILE... FOLDER, from the repository."""
        *options, names = re.fullmatch(r"(?:--chown=(\w+) )?(.*)", line).groups()  # type: ignore[union-attr]
        *sources, target = names.split()
        for name in sources:
            to = self.root / self.folder.strip("/") / target
            if (REPOSITORY / name).is_dir():
                shutil.copytree(REPOSITORY / name, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(REPOSITORY / name, to)
            if options[0]:
                subprocess.run(["chroot", self.root, "chown", "-R", options[0], f"{self.folder}/{target}"], check=True)

    def note(self, word: str, rest: str) -> None:
        """A line that only sets something. In ENV a value may name variables that are set."""
        if word == "ENV":
            for name, value in re.findall(r"(\w+)=(\S+)", rest):
                self.environment[name] = re.sub(r"\$(\w+)", lambda found: self.environment.get(found[1], ""), value)
        elif word == "ARG":
            name, _, value = rest.partition("=")
            self.arguments.setdefault(name, value)
        elif word == "CMD":
            self.command = re.findall(r'"(.*?)"', rest)
        elif word == "USER":
            self.user = rest
        elif word == "WORKDIR":
            self.folder = rest
        else:
            raise ValueError(f"{DOCKERFILE}: {word} is not known here; add it to {Path(__file__).name}")


def stages(text: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Name -> (what it starts from, its instructions), comments gone and continued lines joined."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for word, rest in (line.split(None, 1) for line in lines if line.strip()):
        if word == "FROM":
            parent, _, name = rest.split()
            found[name] = (parent, [])
        else:
            found[name][1].append((word, rest.strip()))
    return found


def lines_of(target: str) -> list[tuple[str, str]]:
    """All lines up to a target, those of the stages that it starts from first."""
    of = stages(DOCKERFILE.read_text())
    order = [target]
    while of[order[0]][0] in of:
        order.insert(0, of[order[0]][0])
    return [line for name in order for line in of[name][1]]


def carry_out(image: Image, target: str) -> None:
    """Everything up to a target."""
    for word, rest in lines_of(target):
        started = time.monotonic()
        if word == "RUN":
            image.run(rest)
        elif word == "COPY":
            image.copy(rest)
        else:
            image.note(word, rest)
        print(f"{time.monotonic() - started:6.1f} s  {word} {rest}", flush=True)


def prepare(root: Path) -> None:
    """What an engine gives a container: names, certificates; and Python where the official image has it."""
    for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"):
        (root / path.strip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.strip("/"))
    python = root / "usr/local/bin/python"
    if not python.is_symlink():
        python.symlink_to("/usr/bin/python3")


def main() -> None:
    """Carry out a target in ROOT, then start its command once, with --help, and `mixgrid doctor`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--target", default="cpu")
    parser.add_argument("arguments", nargs="*", metavar="NAME=VALUE", help="as docker's --build-arg")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("chroot needs root")
    prepare(options.root)
    image = Image(options.root.resolve(), dict(pair.split("=", 1) for pair in options.arguments))
    carry_out(image, options.target)
    subprocess.run(image.inside(*image.command, "--help"), check=True, stdout=subprocess.DEVNULL)
    subprocess.run(image.inside("mixgrid", "doctor"), check=False)


if __name__ == "__main__":
    main()
