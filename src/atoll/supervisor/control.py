"""The control socket of a run: `atoll status`, `logs`, `stop` and the dashboard ask there."""

import asyncio
import hashlib
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from atoll.errors import ENGINE_UNUSABLE, NOT_RUNNING, AtollError
from atoll.supervisor.children import data_of, problem_of
from atoll.supervisor.faults import FaultAsked
from atoll.supervisor.logs import Line
from atoll.supervisor.record import is_alive, read_record
from atoll.supervisor.status import Status
from atoll.wire.description import Description, ProblemData

_LONGEST_PATH = 100
_LONGEST_REQUEST = 65_536
_PATIENCE = 10.0


class StatusAsked(msgspec.Struct, frozen=True, tag="status"):
    """Answered with a Status."""


class DescriptionAsked(msgspec.Struct, frozen=True, tag="description"):
    """Answered with the Description of what runs."""


class LogsAsked(msgspec.Struct, frozen=True, tag="logs"):
    """Answered with a Line for each line from now on, until the asker leaves."""


class RestartAsked(msgspec.Struct, frozen=True, tag="restart"):
    """Restart a service, or one process of it. Answered with the names of the processes."""

    name: str


class StopAsked(msgspec.Struct, frozen=True, tag="stop"):
    """Stop the system. Answered, with null, when it begins to."""


Request = StatusAsked | DescriptionAsked | LogsAsked | RestartAsked | FaultAsked | StopAsked


class Answer(msgspec.Struct, frozen=True):
    """A line of an answer: a value, or what is wrong with the request."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    problems: tuple[ProblemData, ...] = ()


class Controlled(Protocol):
    """What the socket controls."""

    @property
    def description(self) -> Description: ...
    def status(self) -> Status: ...
    def follow(self) -> AsyncIterator[Line]: ...
    def restart(self, name: str) -> tuple[str, ...]:
        """Raises AtollError if nothing is called so."""
        ...

    async def fault(self, asked: FaultAsked) -> tuple[str, ...]:
        """Raises AtollError if nothing is called so, or can't fail like this."""
        ...

    def stop(self) -> None: ...


def sockets_folder(state: Path) -> Path:
    """Where the sockets of a system are: in its state folder, or, if that path is too long for one, in a short one."""
    state = state.resolve()
    if len(os.fsencode(state / "control.sock")) <= _LONGEST_PATH:
        return state
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"atoll-{os.getuid()}-{name}"


def clear_sockets(state: Path) -> None:
    """Remove the short folder, if the sockets of the system had to be in one."""
    folder = sockets_folder(state)
    if folder != state.resolve():
        shutil.rmtree(folder, ignore_errors=True)


def make_sockets_folder(state: Path) -> Path:
    """The folder for sockets, made. Raises AtollError ENGINE_UNUSABLE if somebody else could put theirs there.

    The short one is where anybody may make folders, and its name can be known.
    """
    folder = sockets_folder(state)
    if folder == state.resolve():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        reason = "it is no folder"
    elif found.st_uid != os.getuid():
        reason = f"it belongs to another user ({found.st_uid})"
    elif stat.S_IMODE(found.st_mode) != 0o700:
        reason = f"others may open it (mode {stat.S_IMODE(found.st_mode):04o}, not 0700)"
    else:
        return folder
    do = "remove it, set TMPDIR to a folder of your own, or move the project to a shorter path"
    raise ENGINE_UNUSABLE.error(engine="The folder for sockets", address=folder, reason=reason, do=do)


@asynccontextmanager
async def serve(controlled: Controlled, state: Path) -> AsyncIterator[None]:
    """Answer at the socket of this state folder, which only its owner can open, until the block ends.

    Raises AtollError ENGINE_UNUSABLE.
    """
    path = make_sockets_folder(state) / "control.sock"
    path.unlink(missing_ok=True)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await _answer(controlled, reader, writer)
        finally:
            connections.discard(task)
            writer.close()

    mask = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(connected, path, limit=_LONGEST_REQUEST)
    finally:
        os.umask(mask)
    try:
        yield
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        path.unlink(missing_ok=True)


async def _answer(controlled: Controlled, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line = await reader.readline()
    try:
        request = msgspec.json.decode(line, type=Request)
    except msgspec.DecodeError as error:
        problem = ProblemData("", f"This is no request: {error}.")
        await _write(writer, Answer(problems=(problem,)))
        return
    if isinstance(request, LogsAsked):
        await _stream(controlled.follow(), reader, writer)
        return
    try:
        await _write(writer, Answer(msgspec.Raw(msgspec.json.encode(await _value(controlled, request)))))
    except AtollError as error:
        await _write(writer, Answer(problems=tuple(data_of(problem) for problem in error.problems)))


async def _value(controlled: Controlled, request: Request) -> object:
    match request:
        case StatusAsked():
            return controlled.status()
        case DescriptionAsked():
            return controlled.description
        case RestartAsked(name):
            return controlled.restart(name)
        case FaultAsked():
            return await controlled.fault(request)
        case _:
            controlled.stop()
            return None


async def _stream(lines: AsyncIterator[Line], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the other side closes; it sends nothing more."""

    async def send() -> None:
        async for line in lines:
            await _write(writer, Answer(msgspec.Raw(msgspec.json.encode(line))))

    sending = asyncio.create_task(send())
    leaving = asyncio.create_task(reader.read())
    try:
        await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    await writer.drain()


class ControlClient:
    """Asks the run whose state is in this folder; blocking, for short commands."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def status(self) -> Status:
        return msgspec.json.decode(self._one(StatusAsked()), type=Status)

    def description(self) -> Description:
        return msgspec.json.decode(self._one(DescriptionAsked()), type=Description)

    def restart(self, name: str) -> tuple[str, ...]:
        return msgspec.json.decode(self._one(RestartAsked(name)), type=tuple[str, ...])

    def fault(self, asked: FaultAsked) -> tuple[str, ...]:
        return msgspec.json.decode(self._one(asked), type=tuple[str, ...])

    def stop(self) -> None:
        self._one(StopAsked())

    def follow(self) -> Iterator[Line]:
        """Every line from now on, until the run ends."""
        for value in self._ask(LogsAsked(), patience=None):
            yield msgspec.json.decode(value, type=Line)

    def _one(self, request: Request) -> bytes:
        for value in self._ask(request, patience=_PATIENCE):
            return value
        raise self._not_running()

    def _ask(self, request: Request, patience: float | None) -> Iterator[bytes]:
        """Raises NOT_RUNNING, and the problems that the answer has."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience)
            try:
                connection.connect(str(sockets_folder(self._state) / "control.sock"))
            except OSError as error:
                raise self._not_running() from error
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as lines:
                for line in lines:
                    answer = msgspec.json.decode(line, type=Answer)
                    if answer.problems:
                        raise AtollError(*(problem_of(each) for each in answer.problems))
                    yield bytes(answer.value)

    def _not_running(self) -> AtollError:
        return NOT_RUNNING.error(system=self._state.name)


def running_systems(folder: Path) -> list[Path]:
    """The state folders below `folder`/.atoll of systems that run now."""
    states = sorted(path.parent for path in folder.glob(".atoll/*/run.json"))
    return [state for state in states if (record := read_record(state)) and is_alive(record)]
