"""What is deployed is looked at, rolled back and removed while the code can't be read."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hello import HELLO
from tests.kubernetes.api_server import Server, kubeconfig_of, revision, serving

BROKEN = "class Hello(:\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        made.objects["configmaps/atoll-revision-1"] = revision({}, system="small")
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "there.toml").write_text('[cluster]\nnamespace = "shop"\n')
    return tmp_path


def atoll(server: Server, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "atoll.cli.main", *arguments, "-e", "there"]
    variables = {**os.environ, "KUBECONFIG": str(kubeconfig_of(server.server_port, folder))}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=40, check=False)


LIST = ("rollback", "--list", "--system", "hello.py")


def test_an_outage_needs_no_code_that_can_be_read(server: Server, project: Path) -> None:
    # Given a system that was looked at in its cluster while its code was right
    first = atoll(server, project, *LIST)
    assert (first.returncode, first.stdout.split()) == (0, ["1"])
    # When its code is wrong
    (project / "hello.py").write_text(BROKEN)
    # Then what is deployed is found by what is remembered, which is told
    listed = atoll(server, project, *LIST, "--json")
    assert (listed.returncode, listed.stdout) == (0, '[{"revision": 1, "made": "", "note": ""}]\n')
    for command in (["status", "hello.py"], ["logs", "--system", "hello.py"], ["destroy", "--yes", *LIST[2:]]):
        ended = atoll(server, project, *command)
        assert "ATL1002" in ended.stderr
        assert "This goes by the declaration as it was at 20" in ended.stderr
        assert ("is not deployed" in ended.stderr) == (command[0] != "destroy")
    # And what is made of code is not made of another
    for command in (["deploy", *LIST[2:]], ["render", "kubernetes", "hello.py"]):
        ended = atoll(server, project, *command)
        assert ended.returncode == 1
        assert "This goes by" not in ended.stderr


def test_programs_are_told_what_was_removed(server: Server, project: Path) -> None:
    ended = atoll(server, project, "destroy", "--yes", "--json", *LIST[2:])
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"removed": ["ConfigMap atoll-revision-1"]}


def test_of_a_system_that_was_never_read_the_code_is_told(server: Server, project: Path) -> None:
    (project / "hello.py").write_text(BROKEN)
    ended = atoll(server, project, *LIST)
    assert ended.returncode == 1
    assert ended.stderr.startswith("ATL1002")
