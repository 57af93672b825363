"""Which system a command is about."""

import os
from pathlib import Path

import pytest

from atoll.cli.project import Target, find_state, find_target
from atoll.errors import AtollError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.atoll]\nsystem = "shop.system:shop"\n')
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    (tmp_path / "shop" / "system.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pyproject_names_the_system_also_from_a_folder_below(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_target(None) == Target("shop.system:shop", project)
    monkeypatch.chdir(project / "shop" / "deep")
    assert find_target(None) == Target("shop.system:shop", project)


def test_a_file_is_found_where_one_stands(project: Path) -> None:
    (project / "hello.py").write_text("")
    assert find_target("hello.py:app") == Target("hello.py:app", project)
    with pytest.raises(AtollError, match="there is no such file"):
        find_target("bye.py")


def test_a_module_is_imported_from_here_or_from_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "shop" / "deep")
    assert find_target("shop.other:shop").folder == project
    (project / "shop" / "deep" / "local.py").write_text("")
    assert find_target("local:system").folder == project / "shop" / "deep"


def test_a_broken_pyproject_is_a_problem_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.atoll\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AtollError, match=r"pyproject\.toml"):
        find_target(None)


def test_state_is_beside_the_system_file(project: Path) -> None:
    assert Target("shop.system:shop", project).system_folder() == project / "shop"
    package = project / "src" / "store"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert Target("store:system", project).system_folder() == package


def test_after_a_run_the_last_one_is_looked_at(project: Path) -> None:
    with pytest.raises(AtollError, match="ATL1007"):
        find_state(None, running=False)
    for age, name in ((100, "old"), (10, "new")):
        state = project / "shop" / ".atoll" / name
        state.mkdir(parents=True)
        (state / "ports.json").write_text("{}")
        os.utime(state / "ports.json", (10_000 - age, 10_000 - age))
    assert find_state(None, running=False).name == "new"
    with pytest.raises(AtollError, match="ATL1007"):
        find_state(None, running=True)
