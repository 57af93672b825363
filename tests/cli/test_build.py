"""`atoll build`, as far as it goes without docker."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SYSTEM = """\
from atoll import Process, System

web = System("web", services=[Process("web", ["node", "web.js"], port=9000)])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "system.py").write_text(SYSTEM)
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "web.js").write_text("")
    return tmp_path


def build(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """With nothing on the PATH."""
    command = [sys.executable, "-m", "atoll.cli.main", "build", "--system", "system.py", *arguments]
    variables = {**os.environ, "PATH": str(folder), **environment}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=40, check=False)


def test_without_docker_and_buildah_it_says_what_to_install(folder: Path) -> None:
    ended = build(folder)
    assert ended.returncode == 1
    assert "ATL5004  Neither docker nor buildah was found" in ended.stderr
    assert not (folder / "environments").exists()


@pytest.mark.needs_program("docker")
def test_without_its_daemon_docker_is_said_to_be_of_no_use(folder: Path, program: Callable[[str], str]) -> None:
    ended = build(folder, "--builder", program("docker"), DOCKER_HOST=f"unix://{folder}/nowhere")
    assert ended.returncode == 1
    assert "ATL5012" in ended.stderr
    assert "nowhere" in ended.stderr


def test_a_service_that_does_not_exist_is_named(folder: Path) -> None:
    ended = build(folder, "wbe")
    assert ended.returncode == 1
    assert "no service 'wbe'" in ended.stderr
    assert "has  web" in ended.stderr


def test_dependencies_without_a_lock_are_refused(folder: Path) -> None:
    (folder / "package.json").write_text('{"dependencies": {"ms": "2"}}')
    ended = build(folder)
    assert "ATL5002" in ended.stderr
    assert "npm install --package-lock-only" in ended.stderr
