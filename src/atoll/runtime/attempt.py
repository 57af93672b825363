"""One attempt at a call: a replica, a request, and an answer or what its absence means."""

import asyncio
import time

from atoll.errors import BadAnswer, CallFailed, ConnectionLost, DeadlineExceeded, Unreachable
from atoll.model.contract import Fault
from atoll.runtime.call import Call
from atoll.runtime.connection import BrokenAnswer, Connection, StreamConnection
from atoll.runtime.deadlines import DeadlinePassed, Deadlines
from atoll.runtime.prepared import Prepared, Rejection
from atoll.runtime.replicas import Replica, Replicas
from atoll.runtime.resilience.retry import Failure
from atoll.wire.sse import Reader, ServerEvent, TooLarge

Silence = (OSError, BrokenAnswer, DeadlinePassed)
"""What waiting for an answer raises when there is none."""


class Failed(Exception):
    """An attempt brought no value.

    error: what the caller gets if it was the last. good: what it says of the destination, None if nothing.
    failure: what decides whether there is another attempt; None: there is none.
    """

    def __init__(self, error: Fault | CallFailed, *, good: bool | None, failure: Failure | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.good = good
        self.failure = failure


class Attempts:
    """Makes attempts at the replicas of one service. Each raises Failed."""

    def __init__(self, service: str, replicas: Replicas, deadlines: Deadlines) -> None:
        self._service = service
        self._replicas = replicas
        self._deadlines = deadlines
        self._pick, self._take, self._give = replicas.pick, replicas.take, replicas.give
        self._watch = deadlines.watch

    async def once(self, call: Call) -> object:
        """Send the request, return the value."""
        now = call.start if call.attempts == 1 else time.monotonic_ns()
        replica = self._pick(now * 1e-9, call.failed_at)
        if replica is None:
            raise self._nobody(call)
        connection = None
        replica.in_flight += 1
        try:
            connection = self._take(replica, now * 1e-9)
            if connection is None:
                connection = await self._replicas.connect(replica, (call.deadline - now) * 1e-9)
                now = time.monotonic_ns()
            future = connection.send(call.request(replica.endpoint, _left(call, now)))
            slot = self._watch(future, call.deadline)
            try:
                await future
            finally:
                slot.pop(future, None)
        except Silence as error:
            if not _is_stale(call, connection, error):
                raise self._unanswered(call, replica, connection, error) from error
        except BaseException:
            # An answer is still owed: the connection can't be used again.
            if connection is not None:
                connection.abort()
            raise
        else:
            call.status, body = connection.status, connection.take_body()
            self._give(replica, connection, now * 1e-9)
            try:
                value = call.operation.value(call.status, connection.headers, body)
            except Rejection as rejection:
                raise self._rejected(call, replica, rejection) from rejection.__cause__
            if replica.failures:
                self._replicas.answered(replica, now * 1e-9)
            return value
        finally:
            replica.in_flight -= 1
        # What closed this connection will have closed all others that were free.
        self._replicas.drop(replica)
        call.revived = call.uncertain = True
        return await self.once(call)

    async def open(self, call: Call) -> "Feed":
        """Send the request, wait for the head of a stream."""
        now = time.monotonic_ns()
        replica = self._pick(now * 1e-9, call.failed_at)
        if replica is None:
            raise self._nobody(call)
        connection, feed = None, None
        replica.in_flight += 1
        try:
            connection = await self._replicas.connect_stream(replica, (call.deadline - now) * 1e-9)
            future = connection.send(call.request(replica.endpoint, _left(call, time.monotonic_ns())))
            await self._wait(future, call.deadline)
            call.status = connection.status
            if not 200 <= call.status < 300:
                body = await self._rest(call, connection)
                call.operation.value(call.status, connection.headers, body)
            if replica.failures:
                self._replicas.answered(replica, time.monotonic())
            feed = Feed(call, replica, connection, self._deadlines)
        except Silence as error:
            raise self._unanswered(call, replica, connection, error) from error
        except Rejection as rejection:
            raise self._rejected(call, replica, rejection) from rejection.__cause__
        else:
            return feed
        finally:
            if feed is None:
                replica.in_flight -= 1
                if connection is not None:
                    connection.abort()

    async def _wait(self, future: asyncio.Future[None], deadline: int) -> None:
        slot = self._watch(future, deadline)
        try:
            await future
        finally:
            slot.pop(future, None)

    async def _rest(self, call: Call, connection: StreamConnection) -> bytes:
        """The body of an answer that is no stream."""
        body = b""
        while not connection.ended or connection.parts:
            await self._wait(connection.more(), call.deadline)
            body += connection.take_body()
            if len(body) > self._replicas.most_bytes:
                raise BrokenAnswer(f"the answer is larger than {self._replicas.most_bytes} bytes")
        return body

    def _nobody(self, call: Call) -> Failed:
        error = Unreachable(self._service, call.operation.name, f"no address of {self._service} is known")
        return Failed(error, good=False, failure=Failure(sent=False))

    def _unanswered(self, call: Call, replica: Replica, connection: Connection | None, error: Exception) -> Failed:
        """No usable answer came."""
        if connection is None:
            return _unreached(call, replica, _reason(error), self._replicas)
        connection.abort()
        now, service, operation = time.monotonic(), self._service, call.operation.name
        self._replicas.failed(replica, now, reached=True)
        call.failed_at = replica
        if isinstance(error, DeadlinePassed):
            spent = now - call.start * 1e-9
            reason = f"{replica.endpoint} had not answered when the deadline passed, after {spent:.3g} s"
            return Failed(DeadlineExceeded(service, operation, reason), good=False)
        if isinstance(error, BrokenAnswer):
            return Failed(BadAnswer(service, operation, str(error)), good=False)
        call.uncertain = True
        reason = f"the connection to {replica.endpoint} ended before the answer was whole"
        return Failed(ConnectionLost(service, operation, reason), good=False, failure=Failure())

    def _rejected(self, call: Call, replica: Replica, rejection: Rejection) -> Failed:
        """An answer came, and it is no success. Who says that what it needs failed is not judged for that."""
        now = time.monotonic()
        if not rejection.good:
            self._replicas.failed(replica, now, reached=True)
            call.failed_at = replica
        elif replica.failures:
            self._replicas.answered(replica, now)
        wait = rejection.retry_after
        failure = None if wait is None else Failure(retry_after=wait)
        return Failed(rejection.error, good=rejection.good, failure=failure)


class Feed:
    """An open stream. `close` must follow."""

    def __init__(self, call: Call, replica: Replica, connection: StreamConnection, deadlines: Deadlines) -> None:
        self._call = call
        self._replica = replica
        self._connection = connection
        self._deadlines = deadlines
        self._reader = Reader()
        self._trouble: Rejection | None = None

    @property
    def ended(self) -> bool:
        """Whether the callee said that nothing follows, and all was read."""
        return self._connection.ended and not self._connection.parts and self._trouble is None

    async def read(self, idle: float) -> list[object]:
        """The elements that came meanwhile, perhaps none. idle: seconds without a byte that are borne.

        Raises CallFailed or the fault that ended the stream.
        """
        operation, connection = self._call.operation, self._connection
        try:
            if self._trouble is not None:
                raise self._trouble
            future = connection.more()
            slot = self._deadlines.watch(future, time.monotonic_ns() + int(idle * 1e9))
            try:
                await future
            finally:
                slot.pop(future, None)
            return self._values(self._reader.feed(connection.take_body()))
        except Rejection as rejection:
            raise rejection.error from rejection.__cause__
        except DeadlinePassed:
            raise DeadlineExceeded(operation.service, operation.name, f"nothing came for {idle:g} s") from None
        except (BrokenAnswer, TooLarge) as error:
            raise BadAnswer(operation.service, operation.name, str(error)) from error
        except OSError as error:
            reason = f"the connection to {self._replica.endpoint} ended before the stream did"
            raise ConnectionLost(operation.service, operation.name, reason) from error

    def _values(self, events: list[ServerEvent]) -> list[object]:
        """What the events hold; trouble among them is raised when everything before it was taken."""
        values: list[object] = []
        for event in events:
            try:
                values.append(self._call.operation.element(event.kind, event.data))
            except Rejection as trouble:
                if not values:
                    raise
                self._trouble = trouble
                break
        return values

    def close(self) -> None:
        self._connection.abort()
        self._replica.in_flight -= 1


def _left(call: Call, now: int) -> int:
    """Milliseconds to the deadline. Raises Failed where there are none."""
    left = (call.deadline - now) // 1_000_000
    if left <= 0:
        raise too_late(call.operation)
    return left


def too_late(operation: Prepared) -> Failed:
    """The deadline had passed before anything was sent; that is no fault of the destination's."""
    reason = "the deadline had passed before the request was sent; no byte was"
    return Failed(DeadlineExceeded(operation.service, operation.name, reason), good=None)


def _unreached(call: Call, replica: Replica, reason: str, replicas: Replicas) -> Failed:
    replicas.failed(replica, time.monotonic(), reached=False)
    call.failed_at = replica
    sentence = f"no connection to {replica.endpoint}: {reason}"
    failure = Failure(sent=False, elsewhere=replicas.elsewhere(replica))
    return Failed(Unreachable(call.operation.service, call.operation.name, sentence), good=False, failure=failure)


def _is_stale(call: Call, connection: Connection | None, error: Exception) -> bool:
    """Whether the peer may have closed the connection while it was free, so that the request was not read.

    It can't be told: a callee that died at work looks the same. So only what may be repeated is sent again, once, and
    costs nothing of the budget.
    """
    return (
        connection is not None
        and isinstance(error, ConnectionError)
        and connection.answers > 0
        and connection.received == 0
        and call.operation.idempotent
        and not call.revived
    )


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return str(getattr(error, "strerror", "") or error or type(error).__name__)
