"""An ASGI application as a service: uvicorn serves it, with a context, a span and a measurement around each request."""

import asyncio
import contextlib
import logging
import math
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import cast

import uvicorn

from atoll.errors import PORT_TAKEN, START_FAILED, AtollError
from atoll.runtime.admission import Admission, Place
from atoll.runtime.connections import IDLE_WHILE_DRAINING, MOST_CONNECTIONS
from atoll.runtime.context import Context, current, incoming
from atoll.runtime.faults import Faults, Injected
from atoll.runtime.host import Made
from atoll.runtime.http import IDLE
from atoll.runtime.listener import remove_stale, split
from atoll.runtime.refusals import INJECTED, INTERNAL, OVERLOADED, STOPPING, Refusal
from atoll.runtime.serving import DURATION, DURATION_HELP
from atoll.runtime.telemetry import Telemetry
from atoll.wire.faults import MEDIA_TYPE, problem
from atoll.wire.headers import RETRIED, RETRY_AFTER

Message = MutableMapping[str, object]
Scope = MutableMapping[str, object]
Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_FURTHER: Mapping[Refusal, Headers] = {
    # It was begun: a 503 that does not say so would promise that it may be made again.
    STOPPING: [(RETRIED.encode(), b"1")],
    OVERLOADED: [(RETRY_AFTER.encode(), b"1")],
}

logger = logging.getLogger("atoll.asgi")


class Instrumented:
    """The application with our context around it.

    prefix: where the gateway serves it. The application sees its paths with the prefix, and the prefix as `root_path`.
    Without a caller's deadline there is none, for an application may have downloads and live pages that last;
    and once it sends events or speaks WebSocket, the deadline of the request has been kept, and it counts as at work
    no more: it mostly waits.
    concurrency: most requests at work; the limit is lower while the process can't keep up.
    draining: each answer is its connection's last. failure: what its lifespan says of its own failing.
    """

    def __init__(
        self, application: Application, prefix: str, telemetry: Telemetry, faults: Faults, concurrency: int
    ) -> None:
        self._application = application
        self._prefix = prefix.rstrip("/")
        self._telemetry = telemetry
        self._faults = faults
        self._admission = Admission(concurrency, telemetry.metrics)
        self._active = 0
        self.draining = False
        self.failure = ""
        gauge = telemetry.metrics.gauge("http.server.active_requests", "Requests that handlers have now.", {})
        gauge.read = lambda: float(self._active)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, self._listening(send))
            return
        if self._prefix:
            scope["root_path"] = self._prefix
        context = incoming(dict(cast(Headers, scope["headers"])), time.monotonic(), math.inf)
        request = _Request(scope, context, send, lambda: self.draining)
        start, error = time.monotonic_ns(), ""
        if scope["type"] == "http":
            request.place = self._admission.enter()
            if request.place is None:
                await request.apologise(OVERLOADED)
                self._record(request, start, "")
                return
        token = current.set(context)
        self._active += 1
        try:
            if self._faults.fault:
                await self._faults.strike()
            await self._application(scope, receive, request.send)
        except Injected as raised:
            error = type(raised).__name__
            logger.warning("%s failed: %s", request.title(self._prefix), raised)
            if not await request.apologise(INJECTED):
                raise
        except asyncio.CancelledError:
            error = STOPPING.kind
            if not await request.apologise(STOPPING):
                raise
        except Exception as raised:
            error = type(raised).__name__
            logger.exception("%s failed: %s", request.title(self._prefix), error)
            if not await request.apologise(INTERNAL):
                raise
        finally:
            self._active -= 1
            request.leave()
            self._record(request, start, error)
            current.reset(token)

    def _listening(self, send: Send) -> Send:
        async def heard(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                self.failure = str(message.get("message", ""))
            await send(message)

        return heard

    def _record(self, request: "_Request", start: int, error: str) -> None:
        end = time.monotonic_ns()
        status = request.status or INTERNAL.status
        labels = {"http.request.method": request.method, "http.response.status_code": str(status)}
        route = request.route(self._prefix)
        if route:
            labels["http.route"] = route
        self._telemetry.metrics.histogram(DURATION, DURATION_HELP, labels).observe((end - start) / 1e9)
        context = request.context
        if context.sampled:
            name = request.title(self._prefix)
            said: dict[str, object] = {**labels, "http.response.status_code": status}
            flat = tuple(part for pair in said.items() for part in pair)
            # What it answers 5xx by itself is a failure as well.
            error = error or (str(status) if status >= 500 else "")
            self._telemetry.recorder.record(
                "server", name, context.trace_id, context.span_id, context.parent_id, start, end, error, flat
            )


class _Request:
    """One request or WebSocket, and how far its answer has come. place: of a request that was let in."""

    def __init__(self, scope: Scope, context: Context, send: Send, is_last: Callable[[], bool]) -> None:
        self._scope = scope
        self._send = send
        self._is_last = is_last
        self._whole = False
        self.context = context
        self.method = str(scope.get("method", "GET"))
        self.status = 0
        self.place: Place | None = None
        if scope["type"] == "websocket":
            context.deadline = math.inf

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = cast(int, message["status"])
            headers = list(cast(Headers, message.get("headers", ())))
            if any(name.lower() == b"content-type" and value.startswith(b"text/event-") for name, value in headers):
                self.context.deadline = math.inf
                self.leave()
            if self._is_last():
                message["headers"] = [*headers, (b"connection", b"close")]
        elif message["type"] == "http.response.body":
            self._whole = not message.get("more_body", False)
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    def leave(self) -> None:
        """It is no longer at work."""
        if self.place is not None:
            self.place.leave()

    async def apologise(self, refusal: Refusal) -> bool:
        """Answer for an application that raised. False where that would be a second answer, and half of one is out."""
        if self._whole:
            return True
        if self.status or self._scope["type"] != "http":
            return False
        body = problem(
            refusal.status,
            refusal.kind,
            refusal.title,
            refusal.detail,
            instance=str(self._scope["path"]),
            trace_id=self.context.trace_id,
        )
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        headers += _FURTHER.get(refusal, ())
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
        return True

    def route(self, prefix: str) -> str:
        """The pattern that matched, where the framework tells: Starlette and FastAPI leave it in the scope."""
        path = getattr(self._scope.get("route"), "path", "")
        if not isinstance(path, str) or not path:
            return ""
        return path if path.startswith(f"{prefix}/") else prefix + path

    def title(self, prefix: str) -> str:
        """ "GET /products/{product_id}"; "GET" where no route is known."""
        return f"{self.method} {self.route(prefix)}".rstrip()


class UvicornListener:
    """What lets requests in to an application; see host.Listening. address: with its port once it is open."""

    def __init__(self, made: Made) -> None:
        launch = made.launch
        self.address = launch.listen
        self._share_port = launch.share_port
        self._service = launch.service
        self._instrumented = Instrumented(
            cast(Application, made.instance), launch.path, made.telemetry, made.faults, launch.concurrency
        )
        self._config = uvicorn.Config(
            cast(Callable[..., object], self._instrumented),
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            # It counts idle connections too, and refuses without a word of ours: this is the last resort only.
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=int(IDLE),
            timeout_graceful_shutdown=max(1, int(made.drain_within)),
        )
        self._server = _Server(self._config)
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the application, then accept. Raises AtollError: PORT_TAKEN, or START_FAILED for its lifespan."""
        bound = self._bind()
        self._serving = asyncio.create_task(self._server.serve(sockets=[bound]), name="uvicorn")
        started = asyncio.create_task(self._server.has_started.wait())
        await asyncio.wait([started, self._serving], return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if not self._server.started:
            bound.close()
            raise self._failed(self._serving.exception())

    def _failed(self, error: BaseException | None) -> AtollError:
        detail = self._instrumented.failure
        reason = detail.strip().rpartition("\n")[2] or str(error or "its lifespan failed")
        return START_FAILED.error(service=self._service, reason=reason, detail=detail)

    def _bind(self) -> socket.socket:
        if self.address.startswith("unix:"):
            path = self.address.removeprefix("unix:")
            remove_stale(path)
            bound = socket.socket(socket.AF_UNIX)
            bound.bind(path)
            return bound
        host, port = split(self.address)
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._share_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind((host, port))
        except OSError as error:
            bound.close()
            raise PORT_TAKEN.error(port=self.address) from error
        number = bound.getsockname()[1]
        self.address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
        return bound

    async def drain(self, timeout: float) -> bool:
        """Take no more requests, answer those at work. False if time ran out. timeout: seconds."""
        if self._serving is None:
            return True
        until = time.monotonic() + timeout
        self._server.refuse_connections()
        self._instrumented.draining = True
        # uvicorn closes idle connections at once, also those on which a request is on its way: they get a last one.
        await asyncio.sleep(min(IDLE_WHILE_DRAINING, timeout))
        self._server.should_exit = True
        done, _ = await asyncio.wait([self._serving], timeout=until - time.monotonic())
        return bool(done)

    async def stop(self, timeout: float) -> None:
        """Cut the requests that the drain left. timeout: seconds for their cleaning up."""
        if self._serving is None or self._serving.done():
            return
        for task in self._server.server_state.tasks:
            task.cancel()
        await asyncio.wait([self._serving], timeout=timeout)
        self._server.force_exit = True
        self._serving.cancel()


class _Server(uvicorn.Server):
    """uvicorn inside a process that has its own signal handlers, and its own way to say that it can't start."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit as error:  # it would end the loop, and with it everything that has to be closed in order
            raise RuntimeError("its lifespan failed") from error
        if self.started:
            self.has_started.set()

    def refuse_connections(self) -> None:
        for server in self.servers:
            server.close()


def listener_of(made: Made) -> UvicornListener:
    """What lets requests in to the application."""
    # It says in three lines what is said already, at the same level as what matters.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return UvicornListener(made)
