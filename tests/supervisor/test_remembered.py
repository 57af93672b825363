"""A declaration that was read before is recalled, unless anything of it is different now."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from atoll.supervisor.children import Python
from atoll.supervisor.plan import Options, home_of
from atoll.supervisor.project import Project
from atoll.supervisor.remembered import recall, remember
from atoll.wire.description import Description
from tests.supervisor.described import FOLDER


@pytest.fixture
async def remembered(tmp_path: Path) -> tuple[Project, Description]:
    """A copy of the sample, whose declaration was read and kept."""
    shutil.copytree(FOLDER / "sample", tmp_path / "sample", ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    project = Project("sample.system:system", tmp_path, Python(dict(os.environ), sys.executable))
    description = await project.describe()
    home = home_of(description)
    home.state.mkdir(parents=True)
    remember(project, description, home)
    return project, description


async def test_an_unchanged_declaration_is_recalled_as_it_was(remembered: tuple[Project, Description]) -> None:
    project, description = remembered
    assert recall(project) == description


CHANGES: dict[str, Callable[[Path], object]] = {
    "code": lambda folder: (folder / "greeter" / "service.py").open("a").write("# more\n"),
    "a contract that is gone": lambda folder: (folder / "greeter" / "contract.py").unlink(),
    "a new migration": lambda folder: (folder / "counter" / "migrations" / "0002_x.sql").write_text("SELECT 1"),
    "an edited migration": lambda folder: (folder / "counter" / "migrations" / "0001_counts.sql").write_text(
        "SELECT 1"
    ),
    "what was applied": lambda folder: (folder / ".atoll" / "sample" / "applied.json").write_text("{}"),
    "a broken memory": lambda folder: (folder / ".atoll" / "sample" / "declaration.json").write_text("{"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_after_a_change_it_is_read_anew(
    remembered: tuple[Project, Description], change: Callable[[Path], object]
) -> None:
    project, _ = remembered
    change(project.folder / "sample")
    assert recall(project) is None


async def test_what_was_asked_for_belongs_to_it(remembered: tuple[Project, Description]) -> None:
    project, _ = remembered
    assert recall(replace(project, target="sample.system")) is None
    assert recall(replace(project, options=Options(replicas={"nobody": 2}))) is None
    with_secret = Python({**project.python.variables, "ATOLL_SECRET_X": "1"}, project.python.program)
    assert recall(replace(project, python=with_secret)) is None
    assert recall(replace(project, python=replace(project.python, program="/other/python"))) is None
