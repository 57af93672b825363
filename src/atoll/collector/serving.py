"""The collector at work: its store, what it follows, and the applications that are served beside each other."""

import asyncio
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from atoll.collector.app import application
from atoll.collector.files import Files, Follower
from atoll.collector.forms import forms
from atoll.collector.forwarding import Forwarder
from atoll.collector.limits import Limits
from atoll.collector.query import Query
from atoll.collector.writer import Writer
from atoll.model.launch import Collection

_DRAINS = 3.0


@dataclass(frozen=True, slots=True)
class Served:
    """An application and its address, "127.0.0.1:4318".

    at_once: connections; more are told 503. stopping: called when no more are taken, to end answers that never end.
    """

    application: ASGIApp
    address: str
    at_once: int = 256
    stopping: Callable[[], None] = lambda: None


class Collector:
    """Takes, follows and stores while the block lasts; `query` asks, `served` is where OTLP comes in.

    followers: of what is not in the document, such as the pods of a cluster.
    """

    def __init__(self, document: Collection) -> None:
        usual = Limits()
        self.limits = replace(
            usual,
            kept_seconds=document.kept_seconds or usual.kept_seconds,
            kept_bytes=document.kept_bytes or usual.kept_bytes,
        )
        self._document = document
        self.folder = Path(document.folder)
        self.query = Query(self.folder, self.limits)
        self._forwarders = [
            Forwarder(name, url, form, self.limits, lambda count: self.writer.hit("not forwarded", count))
            for name, form in forms(document.system, self.limits).items()
            if (url := getattr(document.forward, name))
        ]
        self.writer = Writer(self.folder, self.limits, [each.put for each in self._forwarders])
        self._stack = AsyncExitStack()

    @property
    def served(self) -> Served:
        return Served(application(self.writer, self.limits), self._document.listen, self.limits.requests)

    async def __aenter__(self) -> "Collector":
        # Before the writer, and so ended after it: they get the last that is stored too.
        for each in self._forwarders:
            await self._stack.enter_async_context(each)
        await self._stack.enter_async_context(self.writer)
        if self._document.logs:
            self.follow(Files(Path(self._document.logs), self.writer))
        return self

    def follow(self, follower: Follower) -> None:
        """Bring in what this one finds, until the end of the block."""
        task = asyncio.create_task(follower.run(), name=type(follower).__name__)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(end)

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def serve(served: Sequence[Served]) -> None:
    """All of them in this process, until SIGTERM or SIGINT; what is under way is answered first.

    Raises OSError if an address is taken.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [_Server(each) for each in served]
    tasks = [asyncio.create_task(each.run()) for each in servers]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for each, server in zip(served, servers, strict=True):
        server.server.should_exit = True
        each.stopping()
    await asyncio.gather(*tasks)


class _Server:
    """uvicorn with a socket of our own, so that an address that is taken is an error and no exit."""

    def __init__(self, served: Served) -> None:
        host, _, port = served.address.rpartition(":")
        host = host.strip("[]")
        self._socket = socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1_024
        )
        self.server = _Uvicorn(
            uvicorn.Config(
                served.application,
                loop="none",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=served.at_once,
                timeout_graceful_shutdown=int(_DRAINS),
            )
        )

    async def run(self) -> None:
        await self.server.serve([self._socket])


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us: there may be several of it."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
