"""What the README shows is what the program does."""

import re
from pathlib import Path

from flows.command_line import parser
from mixgrid.study_file import parse_study

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_study_of_the_readme_is_valid() -> None:
    text = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert text
    assert parse_study(text.group(1), path=ROOT / "mine.yaml").name == "mine"


def test_commands_of_the_readme_are_the_commands_there_are() -> None:
    listed = set(re.findall(r"^    mixgrid (\w+)", README, re.MULTILINE))
    assert listed == set(parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr, arg-type]


def test_files_that_the_documents_name_are_there() -> None:
    for document in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for path in re.findall(r"\]\(([^)#:]+)\)", document):
            assert (ROOT / path).exists(), path
