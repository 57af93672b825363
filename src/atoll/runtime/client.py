"""Calls to other services."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from math import inf

from atoll.errors import CallFailed, ConnectionLost
from atoll.model.contract import Contract, Fault
from atoll.runtime.attempt import Attempts, Failed, Feed, too_late
from atoll.runtime.call import Call
from atoll.runtime.context import current, new_span_id, new_trace_id
from atoll.runtime.deadlines import Deadlines
from atoll.runtime.prepared import Prepared
from atoll.runtime.propagation import carried, key_line
from atoll.runtime.replicas import Replicas
from atoll.runtime.resilience.breaker import State
from atoll.runtime.resilience.deadline import share
from atoll.runtime.resilience.policy import Guard, Policy
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Histogram

_WARN_EVERY = 60.0  # seconds between two warnings about one operation, or one breaker

logger = logging.getLogger("atoll.client")


class Destination:
    """One service as seen from here: its replicas, what protects the calls to it, what is recorded of them.

    What a caller may conclude
    - a value or a declared fault: the callee answered, in the contract's words.
    - Unreachable, CircuitOpen: no byte was sent. Refused: the callee, or the bulkhead here, declined to act.
    - anything else: the call may have been carried out. A connection that ends before the first byte of an answer
      proves nothing: the callee may have closed it unread, or have acted and died.
    """

    def __init__(
        self, service: str, addresses: Sequence[str], telemetry: Telemetry, policy: Policy | None = None
    ) -> None:
        """addresses: "http://host:port", "https://host/base" or "unix:/path"; a host name stands for all its replicas.

        Raises ValueError for what is no address.
        """
        self.service = service
        self._policy = policy or Policy()
        self._patience = int(self._policy.deadline * 1e9)
        self._guard = Guard(service, self._policy)
        self._breaker = self._guard.breaker
        self._replicas = Replicas(service, addresses, self._policy, random.random)
        self._attempts = Attempts(service, self._replicas, Deadlines())
        self._recorder = telemetry.recorder
        self._metrics = telemetry.metrics
        self._histograms: dict[tuple[Prepared, int, str], Histogram] = {}
        self._warned: dict[str, float] = {}
        self._state = State.CLOSED
        self._opened_at = self._told_at = 0.0
        labels = {"destination": service}
        self._retries = self._metrics.counter("atoll.client.retries", "Attempts beyond the first of a call.", labels)
        gauge = self._metrics.gauge("atoll.client.breaker", "0 is closed, 1 half-open, 2 open.", labels)
        gauge.read = lambda: self._breaker.state
        bulkhead = self._guard.bulkhead
        under_way = self._metrics.gauge("http.client.active_requests", "Calls under way.", labels)
        under_way.read = lambda: bulkhead.under_way
        most = self._metrics.gauge("atoll.client.bulkhead.limit", "Most calls under way at once.", labels)
        most.set(bulkhead.limit)
        refused = self._metrics.counter("atoll.client.bulkhead.refused", "Calls that found no room.", labels)
        refused.read = lambda: bulkhead.refused

    async def open(self) -> None:
        """Find out where the replicas are. Never fails: no service has to be up for another to start."""
        await self._replicas.open()

    async def close(self) -> None:
        """Close the connections that are free; those in use end with their calls."""
        await self._replicas.close()

    async def call(self, operation: Prepared, args: tuple[object, ...]) -> object:
        """Make the call. args: in the order of the operation's parameters, none missing.

        Raises the operation's faults and CallFailed.
        """
        call, failed = self._begin(operation, args), None
        try:
            while True:
                try:
                    value = await self._attempts.once(call)
                except Failed as error:
                    failed = error
                else:
                    call.good = True
                    return value
                # Outside of the handler, lest the traceback of the last attempt has those before it inside.
                await self._pause(call, failed)
        except asyncio.CancelledError:
            self._given_up(call)
            raise
        finally:
            # It holds the error and its traceback this frame: only the garbage collector would free them.
            failed = None
            now = time.monotonic_ns()
            self._guard.leave(call.permit, call.good, now * 1e-9)
            self._record(call, now)

    async def stream(self, operation: Prepared, args: tuple[object, ...]) -> AsyncIterator[object]:
        """Make a call that is answered by a stream; it begins when the first element is asked for.

        The deadline holds up to the head of the answer, then only the time without a byte is limited.
        Closing the iterator closes the connection. Raises the operation's faults and CallFailed.
        """
        call, feed = self._begin(operation, args), None
        try:
            feed = await self._open(call)
            while not feed.ended:
                for value in await feed.read(self._policy.idle):
                    yield value
        except (CallFailed, Fault) as error:
            call.ended(error)
            raise
        except asyncio.CancelledError:
            call.error = "cancelled"
            raise
        finally:
            if feed is not None:
                feed.close()
            self._guard.bulkhead.leave()
            self._record(call, time.monotonic_ns())

    def _begin(self, operation: Prepared, args: tuple[object, ...]) -> Call:
        """Everything before the first attempt. Raises Refused, CircuitOpen, DeadlineExceeded; nothing is sent then."""
        start = time.monotonic_ns()
        deadline = start + self._patience
        context, headers = current.get(), b""
        if context is None:
            trace_id, parent_id, sampled = new_trace_id(), 0, True
        else:
            trace_id, parent_id, sampled = context.trace_id, context.span_id, context.sampled
            if context.deadline < inf:
                deadline = min(deadline, start + share(int(context.deadline * 1e9) - start))
            headers = carried(context, outside=self._replicas.outside)
            if context.in_transaction:
                self._warn(operation, start * 1e-9)
        target, body = operation.target(args), operation.body(args)
        if operation.idempotency_key:
            headers += key_line(context, self.service, operation.name)
        if deadline <= start:
            raise too_late(operation).error
        permit = self._guard.enter(operation.name, start * 1e-9)
        if self._breaker.state is not self._state:
            self._announce()
        span_id = new_span_id()
        return Call(operation, target, body, headers, trace_id, span_id, parent_id, sampled, start, deadline, permit)

    async def _open(self, call: Call) -> Feed:
        """Begin the stream, with as many attempts as are allowed; and tell the breaker, for the end may be far away."""
        failed = None
        try:
            while True:
                try:
                    feed = await self._attempts.open(call)
                except Failed as error:
                    failed = error
                else:
                    call.good = True
                    return feed
                await self._pause(call, failed)
        except asyncio.CancelledError:
            self._given_up(call)
            raise
        finally:
            failed = None
            self._guard.judge(call.permit, call.good, time.monotonic())

    def _given_up(self, call: Call) -> None:
        """Whoever made the call is told to stop. That is no verdict, unless the time for an answer was over before."""
        call.error = "cancelled"
        if time.monotonic_ns() >= call.deadline:
            call.good = False

    async def _pause(self, call: Call, failed: Failed) -> None:
        """Wait until the next attempt may be made; if there is to be none, raise the error of this one."""
        try:
            wait = self._wait(call, failed)
            if wait is None:
                call.good = failed.good
                raise self._final(call, failed) from failed.__cause__
        finally:
            del failed
        self._retries.add()
        call.attempts += 1
        if wait:
            await asyncio.sleep(wait)

    def _wait(self, call: Call, failed: Failed) -> float | None:
        """Seconds until the next attempt; None if there is to be none."""
        if failed.failure is None:
            return None
        return self._guard.again(
            failed.failure,
            call.permit,
            idempotent=call.operation.idempotent,
            attempt=call.attempts,
            room=call.deadline * 1e-9 - time.monotonic(),
            chance=random.random(),  # noqa: S311
        )

    def _final(self, call: Call, failed: Failed) -> Fault | CallFailed:
        """The error of the last attempt; but "nothing happened" must be true of the earlier ones too."""
        error = failed.error
        if call.uncertain and isinstance(error, CallFailed) and not error.may_have_happened:
            reason = f"an attempt was cut off before its answer, then {error.reason}"
            error = ConnectionLost(error.service, error.operation, reason)
        call.ended(error)
        return error

    def _record(self, call: Call, now: int) -> None:
        """Span, duration, and a line in the log if the breaker changed its state."""
        operation, status = call.operation, call.status
        usual = status == operation.status and call.attempts == 1
        if call.sampled:
            self._recorder.record(
                "client",
                operation.title,
                call.trace_id,
                call.span_id,
                call.parent_id,
                call.start,
                now,
                "" if call.refused else call.error,
                operation.attributes if usual else _attributes(call),
            )
        key = (operation, status, call.error)
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = self._histogram(*key)
        histogram.observe((now - call.start) * 1e-9)
        if self._breaker.state is not self._state:
            self._announce()

    def _histogram(self, operation: Prepared, status: int, error: str) -> Histogram:
        labels = {
            "http.request.method": operation.method,
            "server.address": self.service,
            "url.template": operation.path,
        }
        if status:
            labels["http.response.status_code"] = str(status)
        if error:
            labels["error.type"] = error
        return self._metrics.histogram("http.client.request.duration", "How long calls take.", labels)

    def _announce(self) -> None:
        """A line when it opens and when it closes; between them one a minute, for calls try it every second."""
        breaker, before, now = self._breaker, self._state, time.monotonic()
        self._state = state = breaker.state
        fields = {"event": "breaker", "destination": self.service, "state": state.name.lower()}
        if state is State.CLOSED:
            sentence = "the circuit breaker of %s is closed: it answers again, after %.0f s"
            logger.warning(sentence, self.service, now - self._opened_at, extra=fields)
        elif before is State.CLOSED:
            self._opened_at = self._told_at = now
            calls, failures = breaker.counts
            sentence = "the circuit breaker of %s is open: %d of its last %d calls failed; a call tries every %g s"
            logger.warning(sentence, self.service, failures, calls, self._policy.breaker.wait, extra=fields)
        elif now - self._told_at >= _WARN_EVERY:
            self._told_at = now
            sentence = "the circuit breaker of %s is not closed yet: every call that tried failed for %.0f s"
            logger.warning(sentence, self.service, now - self._opened_at, extra=fields)

    def _warn(self, operation: Prepared, now: float) -> None:
        """A call inside a transaction makes the database's locks last as long as somebody else's answer."""
        if now - self._warned.get(operation.title, float("-inf")) < _WARN_EVERY:
            return
        self._warned[operation.title] = now
        sentence = "%s is called inside a transaction, whose locks wait for the answer; call it before or after"
        logger.warning(sentence, operation.title, extra={"event": "call-in-transaction", "operation": operation.title})


def client_of(contract: Contract, destination: Destination) -> object:
    """An object with the contract's routed methods, each of which makes its call at the destination."""
    methods = {each.name: _method(Prepared(destination.service, each), destination) for each in contract.operations}
    shown = f"<client of {contract.name} at {destination.service}>"
    return type(f"{contract.name}Client", (), {**methods, "__slots__": (), "__repr__": lambda _: shown})()


def _method(operation: Prepared, destination: Destination) -> Callable[..., object]:
    call = destination.stream if operation.streams else destination.call
    count, bind = operation.count, operation.bind

    def method(_: object, *args: object, **kwargs: object) -> object:
        return call(operation, bind(args, kwargs) if kwargs or len(args) != count else args)

    method.__name__, method.__qualname__ = operation.name, operation.title
    return method


def _attributes(call: Call) -> tuple[object, ...]:
    """Of a call that did not go as most do."""
    made: tuple[object, ...] = call.operation.common
    if call.status:
        made += ("http.response.status_code", call.status)
    if call.refused:
        made += ("atoll.fault", call.error)
    if call.attempts > 1:
        made += ("http.request.resend_count", call.attempts - 1)
    return made
