"""What processes are told to do wrong on purpose."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from atoll.engines.engine import Command
from atoll.errors import AtollError
from atoll.model.launch import FaultOrder, InjectedFault
from atoll.supervisor import faults
from atoll.supervisor.faults import FaultAsked, Faults
from atoll.supervisor.home import Home
from atoll.supervisor.install import make_folders
from atoll.supervisor.plan import planned
from atoll.supervisor.process import Process
from atoll.supervisor.state import Known, after
from tests.ports import free_port
from tests.supervisor.described import sample
from tests.supervisor.test_plan import make

FAULT = InjectedFault(errors=1.0)
ASKED = FaultAsked(("counter-1",), FAULT)


@dataclass
class Begun:
    """A process that runs, and does not listen yet."""

    process: Process
    port: int


async def begun(folder: Path) -> Begun:
    make_folders(Home(folder))
    command = Command(("/bin/sleep", "60"), {"PATH": "/usr/bin:/bin"})
    return Begun(await Process.start("counter-1", command, folder / "log", lambda _: None), free_port())


async def ordered(folder: Path, running: Begun) -> tuple[str, ...]:
    plan = make(sample())
    return await Faults(Home(folder)).order(ASKED, after(Known(), planned(plan), 0.0), plan, [running])


async def test_a_process_that_began_before_the_order_is_told_when_it_listens(tmp_path: Path) -> None:
    running = await begun(tmp_path)
    told: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        told.append(await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    try:
        # Given an order to one that does not listen yet
        ordering = asyncio.create_task(ordered(tmp_path, running))
        await asyncio.wait([ordering], timeout=0.1)
        # When it listens, then it is told
        async with await asyncio.start_server(answer, "127.0.0.1", running.port):
            assert await asyncio.wait_for(ordering, 5.0) == ("counter-1",)
        assert [msgspec.json.decode(each, type=FaultOrder).fault for each in told] == [FAULT]
    finally:
        await running.process.kill()


async def test_who_never_listens_is_named_and_who_has_ended_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "_LISTENS_WITHIN", 0.1)
    running = await begun(tmp_path)
    try:
        with pytest.raises(AtollError, match="counter-1"):
            await ordered(tmp_path, running)
    finally:
        await running.process.kill()
    # The next one is told at its start
    assert await ordered(tmp_path, running) == ("counter-1",)
