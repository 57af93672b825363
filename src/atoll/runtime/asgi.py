"""An ASGI application as a service: uvicorn serves it, with a context, a span and a measurement around each request."""

import asyncio
import contextlib
import logging
import math
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import cast

import uvicorn

from atoll.errors import PORT_TAKEN, START_FAILED
from atoll.model.launch import Launch
from atoll.runtime.context import Context, current, incoming
from atoll.runtime.listener import BACKLOG, split
from atoll.runtime.serving import DURATION, DURATION_HELP
from atoll.runtime.telemetry import Telemetry

Message = MutableMapping[str, object]
Scope = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("atoll.asgi")


class Instrumented:
    """The application with our context around it.

    prefix: where the gateway serves it. The application sees its paths with the prefix, and the prefix as `root_path`.
    Without a caller's deadline there is none, for an application may have downloads and live pages that last;
    and once it streams or speaks WebSocket a deadline of the request has been kept.
    """

    def __init__(self, application: Application, prefix: str, telemetry: Telemetry) -> None:
        self._application = application
        self._prefix = prefix.rstrip("/")
        self._telemetry = telemetry
        self._active = 0
        gauge = telemetry.metrics.gauge("http.server.active_requests", "Requests that handlers have now.", {})
        gauge.read = lambda: float(self._active)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        if self._prefix:
            scope["root_path"] = self._prefix
        headers = dict(cast(list[tuple[bytes, bytes]], scope["headers"]))
        context = incoming(headers, time.monotonic(), math.inf)
        seen = _Seen(scope, context, send)
        token = current.set(context)
        self._active += 1
        start, error = time.monotonic_ns(), ""
        try:
            await self._application(scope, receive, seen.send)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            self._active -= 1
            current.reset(token)
            self._record(seen, start, error)

    def _record(self, seen: "_Seen", start: int, error: str) -> None:
        end = time.monotonic_ns()
        status = seen.status or (500 if error else 0)
        labels = {"http.request.method": seen.method, "http.response.status_code": str(status)}
        route = seen.route(self._prefix)
        if route:
            labels["http.route"] = route
        self._telemetry.metrics.histogram(DURATION, DURATION_HELP, labels).observe((end - start) / 1e9)
        context = seen.context
        if context.sampled:
            name = f"{seen.method} {route}" if route else seen.method
            flat = [part for pair in labels.items() for part in pair]
            self._telemetry.recorder.record(
                "server", name, context.trace_id, context.span_id, context.parent_id, start, end, error, flat
            )


class _Seen:
    """What a request turned out to be."""

    def __init__(self, scope: Scope, context: Context, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.context = context
        self.method = str(scope.get("method", "GET"))
        self.status = 0
        if scope["type"] == "websocket":
            context.deadline = math.inf

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = cast(int, message["status"])
            kinds = [
                value
                for name, value in cast(list[tuple[bytes, bytes]], message.get("headers", ()))
                if name.lower() == b"content-type"
            ]
            if any(kind.startswith(b"text/event-stream") for kind in kinds):
                self.context.deadline = math.inf
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    def route(self, prefix: str) -> str:
        """The pattern that matched, where the framework tells: Starlette and FastAPI leave it in the scope."""
        path = getattr(self._scope.get("route"), "path", "")
        return f"{prefix}{path}" if isinstance(path, str) and path else ""


class UvicornFront:
    """host.Front for an ASGI application."""

    def __init__(self, application: object, launch: Launch, telemetry: Telemetry) -> None:
        instrumented = Instrumented(cast(Application, application), launch.path, telemetry)
        config = uvicorn.Config(
            cast(Callable[..., object], instrumented),
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            lifespan="auto",
            backlog=BACKLOG,
            limit_concurrency=launch.concurrency,
            proxy_headers=True,
            forwarded_allow_ips="127.0.0.1",
            server_header=False,
        )
        self._launch = launch
        self._config = config
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None
        self.address = launch.listen

    async def open(self) -> None:
        """Raises AtollError: PORT_TAKEN, or START_FAILED where the application's lifespan did not start."""
        bound = self._bind()
        self._serving = asyncio.create_task(self._server.serve(sockets=[bound]), name="uvicorn")
        started = asyncio.create_task(self._server.has_started.wait())
        await asyncio.wait([started, self._serving], return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if not self._server.started:
            bound.close()
            reason = "its lifespan failed, see above"
            if self._serving.done() and not self._serving.cancelled() and self._serving.exception() is not None:
                reason = str(self._serving.exception())
            raise START_FAILED.error(service=self._launch.service, reason=reason)

    def _bind(self) -> socket.socket:
        listen = self._launch.listen
        if listen.startswith("unix:"):
            bound = socket.socket(socket.AF_UNIX)
            bound.bind(listen.removeprefix("unix:"))
            return bound
        host, port = split(listen)
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
        except OSError as error:
            bound.close()
            raise PORT_TAKEN.error(port=listen) from error
        number = bound.getsockname()[1]
        self.address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
        return bound

    async def drain(self, within: float) -> None:
        if self._serving is None:
            return
        self._config.timeout_graceful_shutdown = max(int(within), 1)
        self._server.should_exit = True
        done, _ = await asyncio.wait([self._serving], timeout=within)
        if not done:
            self._server.force_exit = True
            self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.has_started.set()
