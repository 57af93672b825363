"""The tutorial, done as it says: every file written, every command typed, and what it shows is what it promises."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.system.runs import Run
from tests.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
# For a service to be replaced, or an event to arrive.
SOON = 40.0

pytestmark = [pytest.mark.needs_program("curl"), pytest.mark.timeout(170)]


class Block(NamedTuple):
    """What stands between two fences. language: "" for commands."""

    language: str
    text: str


def blocks() -> Iterator[Block]:
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        yield Block(found[1], found[2])


def write(folder: Path, text: str) -> None:
    """A whole file, whose first line says where it is."""
    first, _, _ = text.partition("\n")
    path = folder / re.fullmatch(r"(?:#|--) (\S+)", first)[1]  # type: ignore[index]
    path.write_text(text.partition("\n")[2])


def change(folder: Path, text: str) -> None:
    """Hunks with "@@" between them."""
    first, _, rest = text.partition("\n")
    path = folder / first.removeprefix("--- ")
    content = path.read_text()
    for hunk in rest.split("@@\n"):
        # An empty line is one of the file.
        lines = [line or " " for line in hunk.rstrip("\n").split("\n")]
        old, new = ("\n".join(line[1:] for line in lines if line[0] in marks) for marks in (" -", " +"))
        assert content.count(old) == 1, f"{path.name} does not have once:\n{old}"
        content = content.replace(old, new)
    path.write_text(content)


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each with the lines that it is said to show."""
    for part in text.split("$ ")[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        yield command, shown


def typed(folder: Path, command: str) -> str:
    """What it says, well or ill."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ended.stdout + ended.stderr


def shows(said: str, wanted: list[str]) -> bool:
    """Whether each of these lines is part of one of its own; "…" stands for anything, and so do counts of notes."""
    loose = [re.sub(r'("(?:notes|cheerful)":)\d+', r"\1…", line) for line in wanted]
    patterns = [".*?".join(map(re.escape, line.split("…"))) for line in loose]
    return all(re.search(pattern, said) for pattern in patterns)


def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    folder, run = tmp_path, None
    try:
        for block in blocks():
            match block.language:
                case "python" | "sql":
                    write(folder, block.text)
                case "diff":
                    change(folder, block.text)
                case _ if block.text.startswith("$ cd diary\n"):
                    folder = tmp_path / "diary"
                    run = Run(folder, target="diary.system:system").ready()
                    follow(folder, block.text.partition("\n")[2], run)
                case _:
                    follow(folder, block.text, run)
    finally:
        if run:
            run.stop()


def follow(folder: Path, text: str, run: Run | None) -> None:
    """Type it; where the system is not that far yet, which a person sees in the other terminal, type it again."""
    failure = ""

    def is_as_shown() -> bool:
        nonlocal failure
        for command, shown in commands(text):
            said = typed(folder, command.replace("localhost:8080", run.url.partition("://")[2] if run else ""))
            if not shows(said, shown):
                failure = "\n".join([f"$ {command}", said, "does not show", *shown])
                return False
        return True

    until(is_as_shown, "the system does what the tutorial says", within=SOON, every=0.5, why=lambda: failure)
