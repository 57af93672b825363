"""The messages that a consumer has in hand, and their handling."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from atoll.model.launch import ConsumerOf
from atoll.runtime.cancellation import is_cancelled
from atoll.runtime.context import current
from atoll.runtime.events.handling import Handler, batch_context_of, context_of, handle
from atoll.runtime.events.incoming import Incoming
from atoll.runtime.events.lanes import Lane, Lanes
from atoll.runtime.events.redelivery import Again, Failure, GiveUp, Policy, counts, decide, describe, untouchable
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Histogram

logger = logging.getLogger("atoll.events")

MOST_TOGETHER = 256
"""Events of one batch."""

_LAST_WORDS = 0.5  # seconds

_Taken = Sequence[tuple[Lane[Incoming], list[Incoming]]]


class Settlement(Protocol):
    """What becomes of a message in the end; the broker's side of it."""

    async def acknowledge(self, messages: Sequence[Incoming]) -> None:
        """They are handled. Never fails: what can't be said to the broker, the inbox finds out."""
        ...

    async def bury(self, message: Incoming, reason: str) -> bool:
        """It is given up: put it to the dead letters and acknowledge it. False where that failed for now."""
        ...

    def forget(self, message: Incoming) -> None:
        """It is left without an answer, as where its connection is lost; the broker will bring it again."""
        ...


class Work:
    """Gives messages to the handler: one at a time within a key, several keys beside each other."""

    def __init__(self, source: ConsumerOf, handler: Handler, settlement: Settlement, telemetry: Telemetry) -> None:
        self._source = source
        self._handler = handler
        self._settlement = settlement
        self._policy = Policy(source.attempts, source.backoff_first, source.backoff_most, source.patience)
        self._most = MOST_TOGETHER if handler.batch else 1
        self._lanes: Lanes[Incoming] = Lanes()
        self._workers: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._stopping = False
        self._recorder = telemetry.recorder
        self._metrics = telemetry.metrics
        self._durations = {"": self._duration("")}

    def add(self, message: Incoming) -> None:
        """Behind the earlier messages of its key."""
        self._lanes.add(message.attributes.key, message)
        self._dispatch()

    def drop(self) -> list[Incoming]:
        """Forget what is not at work."""
        return self._lanes.drop()

    def hold(self) -> None:
        """Begin nothing new from now on."""
        self._stopping = True

    async def drain(self) -> None:
        """Begin nothing new; return when what is at work has ended. May be cancelled."""
        self.hold()
        if self._workers:
            await asyncio.wait(self._workers)

    async def cut(self, timeout: float) -> None:
        """Cancel what is at work. timeout: seconds for its cleaning up."""
        self.hold()
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            await asyncio.wait(self._workers, timeout=timeout)

    def _dispatch(self) -> None:
        """Start workers for what is ready; each goes on until nothing is."""
        while not self._stopping and len(self._workers) < self._source.concurrency:
            # Those that have not run yet will take their part of it.
            ready = self._lanes.ready - self._starting * self._most
            # Beside a worker at a batch another one only for a full batch: together they are cheaper.
            if ready <= 0 or (self._workers and ready < self._most):
                return
            self._starting += 1
            worker = asyncio.create_task(self._work(), name=f"{self._source.durable} worker")
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        # What came after its last look, when it still counted as one at work.
        self._dispatch()

    async def _work(self) -> None:
        self._starting -= 1
        while not self._stopping and (taken := self._lanes.take(self._most)):
            if not await self._together(taken):
                for index, (lane, messages) in enumerate(taken):
                    with self._last_resort([(lane, messages)], taken[index + 1 :]):
                        await self._in_turn(lane, messages)

    @contextlib.contextmanager
    def _last_resort(self, taken: _Taken, behind: _Taken = ()) -> Iterator[None]:
        """What nobody expects ends no worker, and what it has taken is not kept: it comes again, its keys go on.

        behind: what else the worker has, if it ends after all.
        """
        try:
            yield
        except BaseException as error:
            if not isinstance(error, Exception):
                if self._stopping:
                    raise  # what it has is given back
                taken = [*taken, *behind]
            messages = [message for _, lane_messages in taken for message in lane_messages]
            logger.exception("%s leaves %d events to come again", self._source.durable, len(messages))
            for message in messages:
                self._settlement.forget(message)
            for lane, _ in taken:
                self._lanes.release(lane)
            if not isinstance(error, Exception):
                raise

    async def _together(self, taken: _Taken) -> bool:
        """Several in one go. False if each has to be tried alone."""
        messages = [message for _, lane_messages in taken for message in lane_messages]
        if len(messages) == 1 or any(self._hopeless(message) for message in messages):
            return False
        with self._last_resort(taken):
            error = await self._try(messages)
            if error is not None:
                logger.warning(
                    "%s: %d events together failed, trying each alone: %s",
                    self._source.durable,
                    len(messages),
                    describe(error),
                )
                return False
            await self._settlement.acknowledge(messages)
            for lane, _ in taken:
                self._lanes.release(lane)
        return True

    async def _in_turn(self, lane: Lane[Incoming], messages: list[Incoming]) -> None:
        """One after the other, up to the first that has to wait."""
        for index, message in enumerate(messages):
            if index and self._stopping:
                return  # the rest is given back
            wait = await self._handle(message)
            if wait is None:
                continue
            if message.connection.lost.is_set():
                for each in messages[index:]:
                    self._settlement.forget(each)
                break
            self._lanes.put_back(lane, messages[index:])
            asyncio.get_running_loop().call_later(wait, self._release, lane)
            return
        self._lanes.release(lane)

    def _release(self, lane: Lane[Incoming]) -> None:
        self._lanes.release(lane)
        self._dispatch()

    async def _handle(self, message: Incoming) -> float | None:
        """Handle one message; None when it is settled, else the seconds to wait before the next try."""
        verdict: Again | GiveUp | None = self._hopeless(message)
        if verdict is None:
            error = await self._try([message])
            if error is None:
                await self._settlement.acknowledge([message])
                return None
            verdict = self._judge(message, error)
        if isinstance(verdict, Again):
            return verdict.wait
        logger.error(
            "%s gives up event %s of %r: %s",
            self._source.durable,
            message.attributes.id,
            message.topic,
            verdict.reason,
        )
        if await self._settlement.bury(message, verdict.reason):
            return None
        return self._policy.first

    def _hopeless(self, message: Incoming) -> GiveUp | None:
        """Why the message is not even tried."""
        if message.unreadable:
            return GiveUp(message.unreadable)
        return untouchable(message.deliveries, self._policy)

    def _judge(self, message: Incoming, error: BaseException) -> Again | GiveUp:
        now = time.monotonic()
        message.failed_at = message.failed_at or now
        message.failures += 1
        message.tried += counts(error)
        failure = Failure(error, message.tried, message.deliveries, now - message.failed_at, message.failures)
        verdict = decide(failure, self._policy, random.random())  # noqa: S311 (jitter)
        if isinstance(verdict, Again):
            logger.warning(
                "%s failed for event %s of %r, try %d; the next in %.1f s",
                self._source.durable,
                message.attributes.id,
                message.topic,
                message.deliveries - 1 + message.failures,
                verdict.wait,
                exc_info=error,
            )
        return verdict

    async def _try(self, messages: Sequence[Incoming]) -> BaseException | None:
        """One call of the handler; what it raised."""
        context = batch_context_of(messages, self._source.deadline)
        current.set(context)  # this worker is a task, and so has a variable of its own
        failure: BaseException | None = None
        start = time.monotonic_ns()
        try:
            # The context's deadline is the same, and the database's own words about it say more.
            async with asyncio.timeout(self._source.deadline + _LAST_WORDS):
                await handle(self._handler, self._source.durable, messages)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            failure = error
        except Exception as error:  # noqa: BLE001 (the user's code may raise whatever it likes)
            failure = error
        end = time.monotonic_ns()
        kind = type(failure).__name__ if failure else ""
        for index, message in enumerate(messages):
            # Of a batch each event has a span in its own trace; queries of the handler are in the first one's.
            own = context if index == 0 else context_of(message, 0.0)
            if own.sampled:
                attributes = (
                    "messaging.destination.name",
                    message.topic,
                    "messaging.message.id",
                    message.attributes.id,
                )
                name = f"process {message.topic}"
                self._recorder.record(
                    "consumer", name, own.trace_id, own.span_id, own.parent_id, start, end, kind, attributes
                )
        duration = self._durations.get(kind) or self._durations.setdefault(kind, self._duration(kind))
        duration.observe((end - start) / 1e9)
        return failure

    def _duration(self, error: str) -> Histogram:
        labels = {
            "messaging.destination.name": self._source.topic,
            "messaging.consumer.group.name": self._source.durable,
            "error.type": error,
        }
        return self._metrics.histogram("messaging.process.duration", "How long handlers take.", labels)
