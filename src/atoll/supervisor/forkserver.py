"""Our end of the fork server: processes that start in a tenth of the time, for they import nothing but user code."""

import array
import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from atoll.engines.engine import Command
from atoll.supervisor.process import Child, execute

_SERVER = "atoll.runtime.forkserver"
_LOST = -9
"""The code of children that the server can't tell of any more; they end with it."""


class ForkServerGone(Exception):
    """The server has ended; nothing can be started by it."""


class ForkedChild:
    """A process that the server forked; what asyncio.subprocess.Process is for others."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Raises ProcessLookupError if it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)

    def ended(self, code: int) -> None:
        self.returncode = code
        self._ended.set()


class ForkServer:
    """A running fork server: it takes programs of ours, such as `python -m atoll.runtime LAUNCH.json`."""

    def __init__(self, program: str, connection: socket.socket, server: asyncio.subprocess.Process) -> None:
        self._program = program
        self._connection = connection
        self._server = server
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[ForkedChild]] = {}
        self._children: dict[int, ForkedChild] = {}
        self._sending = asyncio.Lock()
        self._is_gone = False
        self._reading = asyncio.create_task(self._read(), name="fork server")

    @classmethod
    async def start(cls, program: str, variables: Mapping[str, str]) -> "ForkServer":
        """Start one. It can be asked at once; it answers when it has imported everything."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            server = await asyncio.create_subprocess_exec(
                program,
                "-m",
                _SERVER,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                env=dict(variables),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return cls(program, ours, server)

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def is_gone(self) -> bool:
        return self._is_gone

    async def spawn(self, command: Command, output: int, errors: int) -> ForkedChild:
        """Start the command with these file descriptors for its output. Raises ForkServerGone."""
        number = next(self._numbers)
        request = {
            "id": number,
            "module": command.arguments[2],
            "arguments": command.arguments[3:],
            "directory": str(command.directory or Path.cwd()),
            "environment": dict(command.environment),
        }
        answer: asyncio.Future[ForkedChild] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            await self._send(json.dumps(request).encode() + b"\n", [output, errors])
            return await answer
        except OSError as error:
            raise ForkServerGone from error
        finally:
            del self._asked[number]

    async def _send(self, message: bytes, descriptors: list[int]) -> None:
        if self._is_gone:
            raise BrokenPipeError
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        # One after the other, for a message may be taken in parts while the server is still starting.
        async with self._sending:
            sent = self._connection.sendmsg([message], rights)
            await asyncio.get_running_loop().sock_sendall(self._connection, message[sent:])

    async def close(self) -> None:
        """End the server. Children that still run are ended by the system."""
        with suppress(ProcessLookupError):
            self._server.kill()
        await self._server.wait()
        await self._reading
        self._connection.close()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        rest = b""
        try:
            while data := await loop.sock_recv(self._connection, 65_536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._told(json.loads(line))
        except OSError:
            pass
        finally:
            await self._lost()

    def _told(self, message: Mapping[str, int]) -> None:
        pid = message["pid"]
        if "code" in message:
            child = self._children.pop(pid, None)
            if child is not None:
                child.ended(message["code"])
            return
        self._children[pid] = child = ForkedChild(pid)
        answer = self._asked.get(message["id"])
        if answer is not None and not answer.done():
            answer.set_result(child)

    async def _lost(self) -> None:
        self._is_gone = True
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ForkServerGone())
        async with asyncio.TaskGroup() as group:
            for child in self._children.values():
                group.create_task(_end(child))
        self._children.clear()


async def _end(child: ForkedChild) -> None:
    """End a child that no server can tell of; its successor finds its ports free."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(child.pid)
        is_over = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(handle, is_over.set)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            await is_over.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
    child.ended(_LOST)


class Starter:
    """Starts every process of user code: by forking where that is possible, else by running the program.

    Only Linux can fork a process that has loaded whatever libraries, and ends the children of a server with it.
    """

    def __init__(self, program: str, variables: Mapping[str, str]) -> None:
        self._program = program
        self._variables = variables
        self._server: ForkServer | None = None
        self._starting = asyncio.Lock()

    async def warm_up(self) -> None:
        """Start the server, so that it is ready when the first process is needed."""
        if sys.platform != "linux":
            return
        # When it is killed all its children end, and many ask at once for another.
        async with self._starting:
            if self._server is None or self._server.is_gone:
                await self.close()
                self._server = await ForkServer.start(self._program, self._variables)

    async def spawn(self, command: Command, output: int, errors: int) -> Child:
        """Start a command, with these file descriptors for its output and its errors. Raises OSError."""
        is_ours = command.arguments[:2] == (self._program, "-m") and command.arguments[2].startswith("atoll.runtime")
        if is_ours and self._server is not None:
            with suppress(ForkServerGone):
                await self.warm_up()
                return await self._server.spawn(command, output, errors)
        return await execute(command, output, errors)

    async def close(self) -> None:
        if self._server is not None:
            await self._server.close()
            self._server = None
