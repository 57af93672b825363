"""`atoll new` makes a project that is in order, and whose test passes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.commands import atoll


def test_a_new_project_is_in_order_typed_and_formatted(tmp_path: Path) -> None:
    made = atoll(tmp_path, "new", "my-notes")
    assert made.returncode == 0, made.stderr
    project = tmp_path / "my-notes"
    assert "PROJECT" not in "".join(file.read_text() for file in project.rglob("*") if file.is_file())
    checked = atoll(project, "check")
    assert checked.stdout == "my-notes is in order: 1 member, 3 operations, 0 topics\n", checked.stderr
    for tool in (["mypy", "--strict", "my_notes", "tests"], ["ruff", "check", "--isolated", "."]):
        found = subprocess.run(
            [sys.executable, "-m", *tool], cwd=project, capture_output=True, text=True, check=False, timeout=60
        )
        assert found.returncode == 0, found.stdout


def test_the_secrets_of_this_machine_are_read_where_the_project_has_them_and_git_ignores_them(tmp_path: Path) -> None:
    atoll(tmp_path, "new", "notes")
    project = tmp_path / "notes"
    [file] = project.rglob("local.toml")
    file.write_text("[secrets")
    refused = atoll(project, "check")
    assert refused.returncode == 2
    assert str(file) in refused.stderr
    subprocess.run(["git", "init", "-q"], cwd=project, check=True, timeout=20)
    ignored = subprocess.run(["git", "check-ignore", "-q", file], cwd=project, check=False, timeout=20)
    assert ignored.returncode == 0


def test_the_test_of_a_new_project_passes(tmp_path: Path) -> None:
    atoll(tmp_path, "new", "notes")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "notes",
        env=plain,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 passed" in found.stdout


def test_a_folder_that_has_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    refused = atoll(tmp_path, "new", "notes")
    assert refused.returncode == 1
    assert "ATL1008" in refused.stderr
    assert [file.name for file in (tmp_path / "notes").iterdir()] == ["mine.txt"]


def test_a_name_that_no_system_can_have_is_refused(tmp_path: Path) -> None:
    refused = atoll(tmp_path, "new", "My Notes")
    assert refused.returncode == 2
    assert "lower-case letters" in refused.stderr
