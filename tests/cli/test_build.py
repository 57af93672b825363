"""`atoll build`, as far as it goes without docker."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import sysconfig
import termios
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from tests.hello import HELLO

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


def test_what_makes_a_lock_fits_the_project(folder: Path) -> None:
    (folder / "system.py").write_text(HELLO)
    alone = build(folder).stderr
    assert "ATL5002" in alone
    assert "in a file requirements.in, a line each, and make it: uv pip compile requirements.in --universal" in alone
    (folder / "pyproject.toml").write_text('[project]\nname = "hello"\nversion = "1"\ndependencies = ["atoll"]\n')
    declared = build(folder).stderr
    assert (
        "do   make it: uv pip compile pyproject.toml --universal --generate-hashes --output-file requirements"
        in declared
    )


def test_without_pip_it_is_said_what_to_install(folder: Path) -> None:
    # Given an environment with all that this one has but pip, as uv makes them
    (folder / "system.py").write_text(HELLO)
    (folder / "requirements.txt").write_text("")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "bare"], check=True, timeout=40)
    python = folder / "bare" / "bin" / "python"
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if each.name != "pip" and not each.name.startswith("pip-"):
            Path(sysconfig.get_path("purelib", vars={"base": str(folder / "bare")}), each.name).symlink_to(each)
    # When its atoll is to make an image
    command = [str(python), "-m", "atoll.cli.main", "render", "kubernetes", "system.py"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=40, check=False)
    # Then it says what is missing, and where
    assert f"ATL5017  {python} has no pip" in ended.stderr
    assert "uv pip install 'atoll[kubernetes]'" in ended.stderr


BUILDER = """\
#!/bin/sh
[ "$1" = build ] || exit 0
echo '#6 [2/3] RUN something that takes long'
read -r _ < {released}
echo '#7 [3/3] COPY . .'
"""


@pytest.fixture
def released(folder: Path) -> Path:
    """Whoever writes to it lets the builder go on, which is beside it as `docker`."""
    path = folder / "released"
    os.mkfifo(path)
    program = folder / "docker"
    program.write_text(BUILDER.format(released=path))
    program.chmod(0o755)
    return path


def test_on_a_terminal_the_step_is_shown_while_it_lasts(folder: Path, released: Path) -> None:
    # Given a builder that takes as long as we like, and a terminal
    command = [sys.executable, "-m", "atoll.cli.main", "build", "--system", "system.py"]
    variables = {**os.environ, "PATH": str(folder), "TERM": "xterm"}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    ended = subprocess.Popen(command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        # When it is at a step, then that is shown before it goes on
        said = until(ours, b"RUN something that takes long")
        assert b"web " in said
        assert b"is built" not in said
        released.write_text("on\n")
        said = until(ours, b"software lists in")
        assert b"is built" in said
        assert ended.wait(timeout=20) == 0
    finally:
        ended.kill()
        ended.wait()
        os.close(ours)


def until(terminal: int, wanted: bytes) -> bytes:
    """What is shown, up to what is wanted; it ends by the limit of the test."""
    said = b""
    while wanted not in said:
        said += os.read(terminal, 4096)
    return said


def test_for_programs_no_step_is_shown(folder: Path, released: Path) -> None:
    writing = Thread(target=released.write_text, args=("on\n",))
    writing.start()
    ended = build(folder, "--json")
    writing.join()
    assert ended.returncode == 0, ended.stderr
    assert list(json.loads(ended.stdout)) == ["web"]
    assert "RUN something" not in ended.stdout + ended.stderr
    assert "is built" in ended.stderr
