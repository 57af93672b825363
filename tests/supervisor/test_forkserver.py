"""Processes forked from one that has imported everything, and processes that are run as programs."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from atoll.engines.engine import Command
from atoll.supervisor.children import Python, describe
from atoll.supervisor.forkserver import ForkServer, ForkServerGone, Starter
from atoll.supervisor.process import Process
from tests.supervisor.described import FOLDER, sample
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")

HELLO = """
import os, sys
from atoll import get

class Hello:
    @get("/environment")
    async def environment(self) -> dict[str, str]:
        return {"A": os.environ.get("A", ""), "HOME": os.environ.get("HOME", ""), "cwd": os.getcwd()}
"""


@pytest.fixture
async def starter() -> AsyncIterator[Starter]:
    made = Starter(sys.executable, dict(os.environ))
    await made.warm_up()
    yield made
    await made.close()


def launch(folder: Path) -> Command:
    """A service process that can be started."""
    (folder / "hello.py").write_text(HELLO)
    document = {
        "system": "s",
        "service": "hello",
        "replica": "hello-1",
        "kind": "service",
        "target": "hello:Hello",
        "import_path": [str(folder)],
    }
    (folder / "launch.json").write_text(json.dumps(document))
    arguments = (sys.executable, "-m", "atoll.runtime", str(folder / "launch.json"))
    return Command(arguments, environment={**os.environ, "A": "b"}, directory=folder)


async def serving(process: Process, lines: list[str]) -> dict[str, object]:
    """The line that says where it serves."""
    async with asyncio.timeout(20):
        while True:
            for line in lines:
                if "serves at" in line:
                    found: dict[str, object] = json.loads(line)
                    return found
            assert process.exit is None, lines
            await asyncio.sleep(0.01)


async def test_a_forked_service_serves_with_its_own_environment_and_folder(tmp_path: Path, starter: Starter) -> None:
    lines: list[str] = []
    process = await Process.start("hello-1", launch(tmp_path), tmp_path / "log", lines.append, starter.spawn)
    try:
        address = str((await serving(process, lines))["address"])
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /environment HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        assert json.loads(answer) == {"A": "b", "HOME": os.environ["HOME"], "cwd": str(tmp_path)}
        assert psutil.Process(process.pid).ppid() != os.getpid(), "its parent is the server"
        assert os.getpgid(process.pid) == process.pid
    finally:
        ended = await process.stop()
    assert (ended.status, ended.signal) == (0, "")
    assert (tmp_path / "log").read_text().count("serves at") == 1


async def test_a_forked_process_that_is_killed_says_by_what(tmp_path: Path, starter: Starter) -> None:
    lines: list[str] = []
    process = await Process.start("hello-1", launch(tmp_path), tmp_path / "log", lines.append, starter.spawn)
    await serving(process, lines)
    os.kill(process.pid, signal.SIGKILL)
    assert (await process.wait()).signal == "SIGKILL"


async def test_a_document_that_is_none_ends_the_process_with_its_problem(tmp_path: Path, starter: Starter) -> None:
    lines: list[str] = []
    command = Command((sys.executable, "-m", "atoll.runtime", str(tmp_path / "none.json")), dict(os.environ), tmp_path)
    process = await Process.start("hello-1", command, tmp_path / "log", lines.append, starter.spawn)
    assert (await process.wait()).status == 1
    assert lines[0].startswith("ATL3001")


async def test_a_declaration_is_read_by_a_forked_child_as_by_any_other(starter: Starter) -> None:
    python = Python(dict(os.environ))
    assert await describe(python, "sample.system:system", FOLDER, starter.spawn) == sample()


async def test_when_the_server_is_killed_its_children_end_and_the_next_start_has_a_new_one(
    tmp_path: Path, starter: Starter
) -> None:
    lines: list[str] = []
    first = await Process.start("hello-1", launch(tmp_path), tmp_path / "log", lines.append, starter.spawn)
    await serving(first, lines)
    assert starter._server is not None
    os.kill(starter._server.pid, signal.SIGKILL)
    await first.wait()
    assert not psutil.pid_exists(first.pid) or psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE
    lines.clear()
    second = await Process.start("hello-1", launch(tmp_path), tmp_path / "log", lines.append, starter.spawn)
    await serving(second, lines)
    assert (await second.stop()).status == 0


async def test_when_the_server_is_lost_all_that_start_at_once_share_a_new_one(tmp_path: Path, starter: Starter) -> None:
    # Given a server of which it is known that it is gone, but not yet that its process has ended
    assert starter._server is not None
    starter._server._connection.shutdown(socket.SHUT_RDWR)
    await eventually(lambda: starter._server is not None and starter._server.is_gone, every=0.0)
    # When several are started
    command = Command((sys.executable, "-m", "atoll.runtime", str(tmp_path / "none.json")), dict(os.environ), tmp_path)
    starts = [Process.start(str(n), command, tmp_path / str(n), lambda _: None, starter.spawn) for n in range(5)]
    for process in await asyncio.gather(*starts):
        assert (await process.wait()).status == 1
    # Then there is one
    servers = [each for each in psutil.Process().children() if "atoll.runtime.forkserver" in each.cmdline()]
    assert [each.pid for each in servers] == [starter._server.pid]


async def test_other_programs_are_run_as_they_are(tmp_path: Path, starter: Starter) -> None:
    lines: list[str] = []
    command = Command((sys.executable, "-c", "print('plain')"), dict(os.environ), tmp_path)
    process = await Process.start("x", command, tmp_path / "log", lines.append, starter.spawn)
    assert (await process.wait()).status == 0
    assert lines == ["plain"]


async def test_a_server_that_is_gone_says_so(tmp_path: Path) -> None:
    server = await ForkServer.start(sys.executable, dict(os.environ))
    await server.close()
    with pytest.raises(ForkServerGone):
        await server.spawn(launch(tmp_path), 1, 2)
