"""Calls in: a service's operations behind a listener."""

import asyncio
import logging
import math
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, cast

import msgspec

from atoll.model.contract import Contract, Fault
from atoll.runtime.context import Context, current, incoming
from atoll.runtime.exchanges import Exchange, status_line
from atoll.runtime.failures import Failure, failure_of
from atoll.runtime.faults import Faults
from atoll.runtime.idempotency import REPLAYED, Answer, Idempotency, fingerprint
from atoll.runtime.refusals import (
    BAD_TARGET,
    DEADLINE_EXCEEDED,
    DISCONNECTED,
    INTERNAL,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OVERLOADED,
    STOPPING,
    STREAM_IDLE,
    Refusal,
)
from atoll.runtime.resilience.shedding import Shedder
from atoll.runtime.routing import Router
from atoll.runtime.serving import DURATION, DURATION_HELP, Declined, Outcome, ServedOperation, header
from atoll.runtime.telemetry import Telemetry
from atoll.wire.faults import MEDIA_TYPE, problem
from atoll.wire.headers import IDEMPOTENCY_KEY, RETRIED, RETRY_AFTER

STREAM_PATIENCE = 30.0
"""Seconds between two elements of a stream; a longer silence ends it."""

_TICK = 0.01
"""Seconds between two looks at the deadlines, by which a 504 may come late."""

_PROBLEM = f"content-type: {MEDIA_TYPE}\r\n".encode()
_KEY = IDEMPOTENCY_KEY.encode()
_EAGER = sys.version_info >= (3, 12)

logger = logging.getLogger("atoll.server")


class Claims(Protocol):
    """Where keys and their answers are kept, see runtime/database/claims.py."""

    def claim(self, idempotency: Idempotency) -> AbstractAsyncContextManager[None]: ...


class _Work(msgspec.Struct, eq=False):
    """A request that a handler has. answered: nothing is owed any more, but the handler may not have ended yet."""

    exchange: Exchange
    served: ServedOperation
    context: Context
    answered: bool = False
    begun: bool = False


class Server:
    """Answers the requests of a listener (exchanges.Application) with the operations of an implementation.

    Made inside the loop that it will run in.

    concurrency: most requests with handlers at once; more are answered 503, as are fewer while the loop is late.
    patience: seconds for a request whose caller set no deadline.
    """

    def __init__(
        self,
        contracts: Iterable[Contract],
        implementation: object,
        telemetry: Telemetry,
        *,
        concurrency: int,
        patience: float,
        claims: Claims | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._router: Router[ServedOperation] = Router()
        for contract in contracts:
            for operation in contract.operations:
                served = ServedOperation(operation, getattr(implementation, operation.name), telemetry)
                self._router.add(operation.method, operation.pattern, served)
                if faults is not None:
                    faults.attach(served)
        self._telemetry = telemetry
        self._recorder = telemetry.recorder
        self._patience = patience
        self._shedder = Shedder(concurrency, time.monotonic())
        self._claims = claims
        self._loop = asyncio.get_running_loop()  # asking for it takes a system call on 3.11
        self._working: set[_Work] = set()
        self._ticking = False
        self._due = 0.0
        gauge = telemetry.metrics.gauge("http.server.active_requests", "Requests that handlers have now.", {})
        gauge.read = lambda: float(len(self._working))
        limit = telemetry.metrics.gauge("atoll.server.limit", "Most requests that handlers may have now.", {})
        limit.read = lambda: float(self._shedder.limit)
        self._shed = telemetry.metrics.counter("atoll.server.shed", "Requests answered 503 for want of room.", {})

    # A request arrives.

    def serve(self, exchange: Exchange) -> None:
        target = exchange.target
        if target[:1] != b"/":
            target = _origin_form(target)
        path, _, query = target.partition(b"?")
        method = exchange.method
        found = self._router.find(b"GET" if method == b"HEAD" else method, path)
        if found is None:
            self._nowhere(exchange, path)
            return
        served, values = found
        shedder, at_work = self._shedder, len(self._working)
        if at_work >= shedder.busiest:
            shedder.busiest = at_work + 1
        if at_work >= shedder.limit:
            self._shed.add()
            self._decline(exchange, Declined(OVERLOADED), served, ((RETRY_AFTER, "1"),))
            return
        try:
            arguments = served.arguments(exchange, values, query)
        except Declined as declined:
            self._decline(exchange, declined, served)
            return
        except Exception:  # a type may have code of its own
            logger.exception("%s failed: its arguments can't be made", served.operation)
            self._decline(exchange, Declined(INTERNAL), served)
            return
        context = incoming(exchange.headers, exchange.started / 1e9, self._patience)
        work = _Work(exchange, served, context)
        self._working.add(work)
        if not self._ticking:
            self._ticking = True
            self._look_again(time.monotonic())
        run = self._stream(work, arguments) if served.streams else self._run(work, arguments)
        # A name that is given spares Python the making of one.
        if _EAGER:
            # It begins at once: a handler that never suspends costs no turn of the loop.
            exchange.task = asyncio.Task(run, loop=self._loop, name=served.name, eager_start=True)  # type: ignore[call-arg]
        else:
            exchange.task = asyncio.Task(run, loop=self._loop, name=served.name)

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        self._decline(exchange, Declined(refusal), None)

    def _nowhere(self, exchange: Exchange, path: bytes) -> None:
        if path[:1] != b"/":
            self._decline(exchange, Declined(BAD_TARGET), None)
            return
        allowed = ", ".join(self._router.allowed(path))
        if allowed:
            declined = Declined(METHOD_NOT_ALLOWED, f"It answers {allowed}.")
            self._decline(exchange, declined, None, (("allow", allowed),))
        else:
            self._decline(exchange, Declined(NOT_FOUND), None)

    def _decline(
        self,
        exchange: Exchange,
        declined: Declined,
        served: ServedOperation | None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Answer without a handler."""
        context = incoming(exchange.headers, exchange.started / 1e9, self._patience)
        refusal = declined.refusal
        body = _problem(exchange, context, declined)
        self._record(exchange, served, context, refusal.status, "")
        exchange.connection.answer(exchange, _problem_head(refusal.status, headers), body)

    # A handler has it.

    async def _run(self, work: _Work, arguments: dict[str, object]) -> None:
        served = work.served
        current.set(work.context)
        try:
            if self._claims is not None and served.operation.idempotency_key and _KEY in work.exchange.headers:
                answer = await self._run_once(work, arguments, self._claims)
            else:
                value = await served.call(**arguments)
                if not served.with_headers:
                    body = b"" if served.bodiless else served.encode(value)
                    self._answer(work, served.status, served.head, body, "", served.lengthless)
                    return
                answer = served.answer(value)
            self._answer(work, answer.status, served.head_of(answer), answer.body, "", served.lengthless)
        except asyncio.CancelledError:
            self._cancelled(work)
        except Exception as error:  # noqa: BLE001  whatever a handler raises has an answer
            self._failed(work, error)
        finally:
            self._working.discard(work)

    async def _run_once(self, work: _Work, arguments: dict[str, object], claims: Claims) -> Answer:
        """The answer kept under the caller's key, or the handler's."""
        exchange, served, context = work.exchange, work.served, work.context
        key = exchange.headers[_KEY].decode("latin-1")
        seen = fingerprint(exchange.method.decode(), exchange.target.decode("latin-1"), exchange.body)
        idempotency = Idempotency(key, seen, served.answer, context.caller.subject)
        async with claims.claim(idempotency):
            if idempotency.kept is not None:
                kept = idempotency.kept
                return Answer(kept.status, (*kept.headers, (REPLAYED, "true")), kept.body)
            context.idempotency = idempotency
            return served.answer(await served.call(**arguments))

    async def _stream(self, work: _Work, arguments: dict[str, object]) -> None:
        """Server-sent events: one `data:` a value, one `event: problem` if it fails after the first."""
        exchange, served, connection = work.exchange, work.served, work.exchange.connection
        current.set(work.context)
        try:
            if exchange.method == b"HEAD":
                self._answer(work, served.status, served.head, b"", "", True)
                return
            values = cast(AsyncIterator[object], served.handler(**arguments))
            try:
                async for value in values:
                    event = b"data: %b\n\n" % served.encode(value)
                    self._begin(work)
                    await connection.write(exchange, event)
                    if exchange.gone:
                        break
            finally:
                close = getattr(values, "aclose", None)
                if close is not None:
                    await close()
            self._begin(work)
            self._end(work, "disconnected" if exchange.gone else "")
        except asyncio.CancelledError:
            self._cancelled(work)
        except Exception as error:  # noqa: BLE001
            self._failed(work, error)
        finally:
            self._working.discard(work)

    def _begin(self, work: _Work) -> None:
        """The stream is alive: the first element brings the head, each gives it time for another."""
        if not work.begun:
            work.begun = True
            work.exchange.connection.begin(work.exchange, work.served.head)
        work.context.deadline = time.monotonic() + STREAM_PATIENCE

    def _end(self, work: _Work, error: str) -> None:
        if not work.answered:
            work.answered = True
            self._record(work.exchange, work.served, work.context, work.served.status, error)
            work.exchange.connection.end(work.exchange)

    def _cancelled(self, work: _Work) -> None:
        """By us after an answer, by the peer's leaving, or by the handler's own doing."""
        if work.exchange.gone:
            if not work.answered:
                work.answered = True
                self._record(work.exchange, work.served, work.context, DISCONNECTED.status, DISCONNECTED.kind)
        elif not work.answered:
            logger.error("%s was cancelled by its own code", work.served.operation)
            self._fail(work, Failure(INTERNAL), "CancelledError")

    def _failed(self, work: _Work, error: Exception) -> None:
        served, name = work.served, type(error).__name__
        if work.answered:
            logger.warning("%s failed after its deadline: %s", served.operation, name)
            return
        if isinstance(error, Fault):
            body, status = _told(work, error), type(error).status
            if body is None:
                self._fail(work, Failure(INTERNAL), name)
            else:
                self._answer_problem(work, status, _problem_head(status, ()), body, name if status >= 500 else "")
            return
        failure = failure_of(error)
        if failure.bug:
            logger.error("%s failed: %s", served.operation, name, exc_info=error)
        elif not failure.told:
            logger.warning("%s failed: %s", served.operation, error)
        self._fail(work, failure, name)

    def _fail(self, work: _Work, failure: Failure, error: str) -> None:
        refusal = failure.refusal
        body = _problem(work.exchange, work.context, Declined(refusal))
        self._answer_problem(work, refusal.status, _problem_head(refusal.status, failure.headers), body, error)

    # Answers.

    def _answer_problem(self, work: _Work, status: int, head: bytes, body: bytes, error: str) -> None:
        """As the answer, or, where a stream has begun, as its last event."""
        if not work.begun:
            self._answer(work, status, head, body, error)
        elif not work.answered:
            work.exchange.connection.push(work.exchange, b"event: problem\ndata: %b\n\n" % body)
            self._end(work, error)

    def _answer(self, work: _Work, status: int, head: bytes, body: bytes, error: str, lengthless: bool = False) -> None:
        if work.answered:
            return
        work.answered = True
        exchange = work.exchange
        # First: whoever has the answer finds it in the metrics, and its span has ended before the caller's.
        self._record(exchange, work.served, work.context, status, error)
        exchange.connection.answer(exchange, head, body, lengthless)

    def _record(
        self, exchange: Exchange, served: ServedOperation | None, context: Context, status: int, error: str
    ) -> None:
        end, start = time.monotonic_ns(), exchange.started
        if served is not None:
            name = served.name
            outcome = served.outcomes.get(status) or served.outcome(status)
        else:
            name = exchange.method.decode("latin-1") or "_OTHER"
            outcome = _unrouted(self._telemetry, name, status)
        outcome.histogram.observe((end - start) / 1e9)
        if context.sampled:
            # fmt: off
            self._recorder.record(
                "server", name, context.trace_id, context.span_id, context.parent_id,
                start, end, error, outcome.attributes,
            )
            # fmt: on

    # Time.

    def _tick(self) -> None:
        """Answer 504 to whatever is over its deadline. Only work that was suspended is still there to be looked at."""
        now = time.monotonic()
        self._shedder.look(now, self._due)
        for work in [work for work in self._working if work.context.deadline <= now and not work.answered]:
            self._cut(work, STREAM_IDLE if work.begun else DEADLINE_EXCEEDED)
        self._ticking = bool(self._working)
        if self._ticking:
            self._look_again(now)

    def _look_again(self, now: float) -> None:
        self._due = now + _TICK
        self._loop.call_later(_TICK, self._tick)

    def _cut(self, work: _Work, refusal: Refusal) -> None:
        """Answer at once: a handler that takes its time to clean up must not take the caller's."""
        # It was begun: a 503 that does not say so would promise that it may be made again.
        headers = ((RETRIED, "1"),) if refusal is STOPPING else ()
        self._fail(work, Failure(refusal, headers), refusal.kind)
        work.exchange.cut()

    async def stop(self, timeout: float) -> None:
        """Cut what is still at work, and wait until its handlers have cleaned up.

        timeout: seconds for the cleaning up.
        """
        for work in list(self._working):
            work.context.deadline = math.inf
            self._cut(work, STOPPING)
        tasks = [work.exchange.task for work in self._working if work.exchange.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)


def _unrouted(telemetry: Telemetry, method: str, status: int) -> Outcome:
    """Of a request that met no operation."""
    labels = {"http.request.method": method, "http.response.status_code": str(status)}
    histogram = telemetry.metrics.histogram(DURATION, DURATION_HELP, labels)
    return Outcome(histogram, ("http.request.method", method, "http.response.status_code", status))


def _origin_form(target: bytes) -> bytes:
    """ "http://host/path?query" → "/path?query"; anything else is no target of ours and stays as it is."""
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return target
    return b"/" + rest.partition(b"/")[2]


def _instance(exchange: Exchange) -> str:
    """The path asked for; the query may hold what should not be repeated."""
    return exchange.target.partition(b"?")[0].decode("latin-1")


def _told(work: _Work, fault: Fault) -> bytes | None:
    """The document of a fault. None where it has none, which is logged."""
    served, name = work.served, type(fault).__name__
    codec = served.fault(fault)
    if codec is None:
        logger.error("%s raised the fault %s, which it does not declare", served.operation, name, exc_info=fault)
        return None
    try:
        return codec.encode(fault, instance=_instance(work.exchange), trace_id=work.context.trace_id)
    except Exception:  # a field with what has no JSON
        logger.exception("%s raised the fault %s, which can't be told", served.operation, name)
        return None


def _problem(exchange: Exchange, context: Context, declined: Declined) -> bytes:
    refusal = declined.refusal
    return problem(
        refusal.status,
        refusal.kind,
        refusal.title,
        declined.detail,
        instance=_instance(exchange),
        trace_id=context.trace_id,
        errors=declined.errors,
    )


def _problem_head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    return status_line(status) + _PROBLEM + b"".join(header(name, value) for name, value in headers)
