"""Rendered files are written to a folder, or it is said why not; programs are told which."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import atoll
from tests.hello import HELLO


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "local.toml").write_text('[secrets]\nkey = "hunter2-prod-key"\n')
    return tmp_path


@pytest.mark.parametrize("document", ["kubernetes", "compose", "prometheus"])
def test_what_is_no_folder_is_told(project: Path, document: str) -> None:
    for output, says in [
        ("requirements.txt", "--output requirements.txt: it is a file, and a folder is wanted"),
        ("requirements.txt/below", "--output requirements.txt/below: requirements.txt/below can't be written: not a"),
    ]:
        ended = atoll(project, "render", document, "hello.py", "--output", output)
        assert ended.returncode == 2
        assert f"ATL1006  {says}" in ended.stderr
    assert (project / "requirements.txt").read_text() == ""


@pytest.mark.parametrize("document", ["kubernetes", "compose", "prometheus"])
def test_programs_are_told_which_files_were_written(project: Path, document: str) -> None:
    ended = atoll(project, "render", document, "hello.py", "--output", "made", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    there = {str(each.relative_to(project / "made")) for each in project.glob("made/**/*") if each.is_file()}
    assert told["folder"] == "made"
    assert set(told["files"]) == there - {".env"}


def test_objects_are_printed_as_a_list(project: Path) -> None:
    ended = atoll(project, "render", "kubernetes", "hello.py", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["apiVersion"], told["kind"]) == ("v1", "List")
    assert {"Deployment", "Service", "NetworkPolicy"} <= {each["kind"] for each in told["items"]}


@pytest.mark.parametrize(
    "command", [["render", "kubernetes"], ["render", "compose"], ["render", "prometheus"], ["status"]]
)
def test_values_of_this_machine_go_nowhere_else(project: Path, command: list[str]) -> None:
    ended = atoll(project, *command, "hello.py", "-e", "local")
    assert ended.returncode == 1
    assert "ATL5016" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr
    assert not (project / "compose").exists()
