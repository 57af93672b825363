"""The control socket, asked as `atoll status` asks it."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from atoll.errors import NO_SUCH_PROCESS, AtollError
from atoll.model.launch import InjectedFault
from atoll.supervisor.control import ControlClient, clear_sockets, serve, sockets_folder
from atoll.supervisor.faults import FaultAsked
from atoll.supervisor.logs import Line, LogHub
from atoll.supervisor.status import ProcessStatus, Status
from atoll.wire.description import Description
from tests.supervisor.described import sample

T = TypeVar("T")

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders to others")


class Controlled:
    """A system of one process."""

    description: Description = sample()

    def __init__(self) -> None:
        self.hub = LogHub()
        self.stopped = asyncio.Event()

    def status(self) -> Status:
        row = ProcessStatus("users-1", "users", "service", "ready", port=3000)
        return Status("shop", 1, "/p", "/p/.atoll/shop", "shop:shop", "", True, 0.5, {}, (row,))

    def follow(self) -> AsyncIterator[Line]:
        return self.hub.follow()

    def restart(self, name: str) -> tuple[str, ...]:
        if name != "users":
            raise NO_SUCH_PROCESS.error(has=["users"], name=name)
        return ("users-1",)

    async def fault(self, asked: FaultAsked) -> tuple[str, ...]:
        return tuple(f"{name}: {asked.fault}" for name in asked.names)

    def stop(self) -> None:
        self.stopped.set()


def ask(what: Callable[[], T]) -> "asyncio.Future[T]":
    """The client blocks, as commands do."""
    return asyncio.ensure_future(asyncio.to_thread(what))


async def test_what_is_asked_is_answered(tmp_path: Path) -> None:
    controlled, client = Controlled(), ControlClient(tmp_path)
    async with serve(controlled, tmp_path):
        assert await ask(client.status) == controlled.status()
        assert await ask(client.description) == sample()
        assert await ask(lambda: client.restart("users")) == ("users-1",)
        asked = FaultAsked(("users",), InjectedFault(0.5, 0.8))
        assert await ask(lambda: client.fault(asked)) == ("users: answers 500 to 50%, is 0.8 s late",)
        await ask(client.stop)
        assert controlled.stopped.is_set()


async def test_a_problem_arrives_as_the_same_problem(tmp_path: Path) -> None:
    async with serve(Controlled(), tmp_path):
        with pytest.raises(AtollError) as caught:
            await ask(lambda: ControlClient(tmp_path).restart("usres"))
    (problem,) = caught.value.problems
    assert (problem.code, problem.has) == ("ATL1009", ("users",))


async def test_lines_are_followed_until_the_run_ends(tmp_path: Path) -> None:
    controlled, lines = Controlled(), list[Line]()
    async with serve(controlled, tmp_path):
        following = ask(lambda: lines.extend(ControlClient(tmp_path).follow()))
        while not controlled.hub._listeners:  # noqa: ASYNC110 (nothing tells when somebody listens)
            await asyncio.sleep(0.01)
        controlled.hub.write("users-1", "one")
        controlled.hub.write("users-1", "two")
        await asyncio.sleep(0)
    await following
    assert lines[:1] == [Line("users-1", "one")]


async def test_where_nothing_runs_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(AtollError, match="ATL1007"):
        await ask(ControlClient(tmp_path).status)


async def test_nonsense_is_answered_with_a_problem(tmp_path: Path) -> None:
    path = sockets_folder(tmp_path) / "control.sock"
    async with serve(Controlled(), tmp_path):

        def talk() -> bytes:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(b'{"type": "nonsense"}\n')
                return connection.makefile("rb").readline()

        assert b"This is no request" in await ask(talk)


async def test_only_its_owner_can_open_the_socket(tmp_path: Path) -> None:
    path = sockets_folder(tmp_path) / "control.sock"
    async with serve(Controlled(), tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_a_path_that_is_too_long_for_a_socket_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    assert sockets_folder(deep) != deep
    assert len(str(sockets_folder(deep) / "control.sock")) <= 100
    assert sockets_folder(deep) == sockets_folder(deep)
    assert sockets_folder(deep) != sockets_folder(tmp_path / ("y" * 100))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("open", r"others may open it \(mode 0777, not 0700\)"),
        ("link", "it is no folder"),
        pytest.param("theirs", r"it belongs to another user \(65534\)", marks=AS_ROOT),
    ],
)
async def test_a_short_folder_that_was_there_before_and_is_not_safe_is_refused(
    tmp_path: Path, found: str, told: str
) -> None:
    # Given what another user of the machine might have made where the sockets are going to be
    deep = tmp_path / ("x" * 100)
    short = sockets_folder(deep)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    if found == "link":
        short.symlink_to(theirs)
    else:
        short.mkdir(mode=0o700)
        if found == "open":
            short.chmod(0o777)
        else:
            os.chown(short, 65534, -1)
    # When the system is to be controlled there, then it is an error, and nothing was put there
    try:
        with pytest.raises(AtollError, match=told):
            async with serve(Controlled(), deep):
                pass
        assert not list(short.iterdir())
    finally:
        short.unlink() if found == "link" else short.rmdir()


async def test_a_short_folder_of_our_own_is_used_again(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    for _ in range(2):
        async with serve(Controlled(), deep):
            assert stat.S_IMODE(sockets_folder(deep).stat().st_mode) == 0o700
    clear_sockets(deep)


def test_the_short_folder_goes_with_what_is_in_it_and_a_state_folder_stays(tmp_path: Path) -> None:
    # Given the sockets of a system far down, and of one that is not
    deep = tmp_path / ("x" * 100)
    short = sockets_folder(deep)
    short.mkdir()
    (short / "envoy.sock").touch()
    near = Path("/tmp", f"atoll-test-{tmp_path.parent.name}-near")
    near.mkdir()
    # When both are cleared
    clear_sockets(deep)
    clear_sockets(near)
    # Then only the folder that was made for sockets is gone
    assert not short.exists()
    assert near.exists()
    near.rmdir()
