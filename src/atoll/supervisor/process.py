"""One process of the operating system and the group it leads: started, listened to, ended to the last child."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from atoll.engines.engine import Command
from atoll.supervisor.processes import identity

_LINE_LIMIT = 64 * 2**10
_LOG_LIMIT = 16 * 2**20
_LAST_WORDS = 1.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. status: None if a signal ended it. signal: its name, or ""."""

    status: int | None
    signal: str = ""

    def __str__(self) -> str:
        return f"killed by {self.signal}" if self.signal else f"exit status {self.status}"

    @classmethod
    def of(cls, code: int) -> "Exit":
        """From Python's returncode, where a negative number is a signal's."""
        if code >= 0:
            return cls(code)
        names = {each.value: each.name for each in signal.Signals}
        return cls(None, names.get(-code, f"signal {-code}"))


def tied(command: Command, setpriv: str) -> tuple[str, ...]:
    """The arguments with which the process dies when we do, and runs as its user.

    setpriv: the path of the program of util-linux; "" where there is none, then the command is as it was.
    """
    if not setpriv:
        return command.arguments
    prefix = [setpriv, "--pdeathsig", command.end_signal.removeprefix("SIG")]
    if command.user is not None:
        prefix += ["--reuid", str(command.user.uid), "--regid", str(command.user.gid), "--clear-groups"]
    return (*prefix, "--", *command.arguments)


def find_setpriv() -> str:
    """ "" where the machine has none that knows --pdeathsig: on macOS, and where BusyBox is."""
    found = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin") if sys.platform == "linux" else None
    return found if found and Path(found).resolve().name != "busybox" else ""


class Child(Protocol):
    """A process that was started, as asyncio.subprocess.Process is."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None:
        """None while it runs; a negative number is that of the signal that ended it."""
        ...

    async def wait(self) -> int: ...
    def send_signal(self, number: signal.Signals, /) -> None:
        """Raises ProcessLookupError if it has ended."""
        ...


Spawn = Callable[[Command, int, int], Awaitable[Child]]
"""Starts a command as the leader of a session, with these file descriptors for its output and its errors."""


async def execute(command: Command, output: int, errors: int) -> Child:
    """Run the program, so that it ends with us. Raises OSError."""
    setpriv = find_setpriv()
    user = None if setpriv else command.user
    return await asyncio.create_subprocess_exec(
        *tied(command, setpriv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        cwd=command.directory,
        env=dict(command.environment),
        start_new_session=True,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


class Process:
    """A running process, leader of a session and a group of its own.

    Its lines (standard output and error together) go to a log file and a callback. However it ends, what is left of
    its group is killed. If we die ourselves, even by SIGKILL, Linux sends `command.end_signal` to it.
    """

    def __init__(self, name: str, command: Command, child: Child, output: "_Output") -> None:
        self.name = name
        self.command = command
        self.log = output.path
        self.pid = child.pid
        self.started = identity(child.pid) or ""
        self._child = child
        self._output = output
        self._ended = asyncio.create_task(self._supervise(), name=f"{name} until its end")

    @classmethod
    async def start(
        cls, name: str, command: Command, log: Path, on_line: Callable[[str], None], spawn: Spawn = execute
    ) -> "Process":
        """Start it.

        log: appended to; at 16 MiB it becomes `<log>.1`, replacing an older one.
        on_line: called with each line, without its end; longer than 64 KiB, it comes in pieces.
        Raises OSError if the program can't be run; where `setpriv` runs it, it ends with exit status 127 instead.
        """
        reading, writing = os.pipe()
        output = _Output(_Log(log), on_line)
        try:
            child = await spawn(command, writing, writing)
            await output.follow(reading)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return cls(name, command, child, output)

    @property
    def exit(self) -> Exit | None:
        """None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> Exit:
        """Until the process has ended, its group is gone and its last line is written."""
        return await asyncio.shield(self._ended)

    def signal(self, name: str) -> None:
        """Send a signal, such as "SIGHUP", to the process alone; nothing happens if it has ended."""
        with suppress(ProcessLookupError):
            self._child.send_signal(signal.Signals[name])

    async def stop(self, grace: float | None = None) -> Exit:
        """Ask the whole group to end, and kill it after `grace` seconds (the command's, if None)."""
        if self._child.returncode is None:
            _signal_group(self.pid, self.command.stop_signal)
            try:
                async with asyncio.timeout(self.command.grace if grace is None else grace):
                    return await self.wait()
            except TimeoutError:
                _signal_group(self.pid, "SIGKILL")
        return await self.wait()

    async def kill(self) -> Exit:
        """End the whole group at once."""
        return await self.stop(grace=0.0)

    async def _supervise(self) -> Exit:
        code = await self._child.wait()
        # The number can't be given to a stranger while one of the group lives, and of an empty group nothing is found.
        _signal_group(self.pid, "SIGKILL")
        await self._output.finish()
        return Exit.of(code)


def _signal_group(group: int, name: str) -> None:
    # macOS says "not permitted" of a group of zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.Signals[name])


class _Output:
    """The lines of one process, from its pipe to the log and the callback."""

    def __init__(self, log: "_Log", on_line: Callable[[str], None]) -> None:
        self.path = log.path
        self._log = log
        self._on_line = on_line
        self._task: asyncio.Task[None] | None = None
        self._pipe: asyncio.ReadTransport | None = None

    async def follow(self, reading: int) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        self._pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
        )
        self._task = asyncio.create_task(self._read(reader))

    async def finish(self) -> None:
        """Until all is read; a process that left the group and kept the pipe is not waited for."""
        assert self._task is not None
        assert self._pipe is not None
        await asyncio.wait([self._task], timeout=_LAST_WORDS)
        self._task.cancel()
        self._pipe.close()
        self._log.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async for line in _lines(reader):
            self._log.write(line + b"\n")
            self._on_line(line.decode(errors="replace"))


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    while chunk := await reader.read(_LINE_LIMIT):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            for start in range(0, max(len(line), 1), _LINE_LIMIT):
                yield line[start : start + _LINE_LIMIT].removesuffix(b"\r")
        while len(rest) > _LINE_LIMIT:
            yield rest[:_LINE_LIMIT]
            rest = rest[_LINE_LIMIT:]
    if rest:
        yield rest


class _Log:
    """A log file that keeps at most twice 16 MiB."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = self._open()

    def write(self, line: bytes) -> None:
        # A full disk, or a folder that somebody removed, costs lines: who ceased to read would stop the process.
        with suppress(OSError):
            if self._file.tell() + len(line) > _LOG_LIMIT:
                self._begin_anew()
            self._file.write(line)

    def _begin_anew(self) -> None:
        self.path.replace(self.path.with_name(self.path.name + ".1"))
        full, self._file = self._file, self._open()
        full.close()

    def close(self) -> None:
        self._file.close()

    def _open(self) -> BinaryIO:
        # Unbuffered: the last line before a crash is the one that matters.
        return self.path.open("ab", buffering=0)
