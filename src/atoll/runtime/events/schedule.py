"""Methods that run every so often."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from atoll.errors import DatabaseError
from atoll.model.resources import Database
from atoll.runtime.cancellation import is_cancelled
from atoll.runtime.context import Context, current, new_trace_id
from atoll.runtime.telemetry import Telemetry

logger = logging.getLogger("atoll.schedule")

JITTER = 0.05
"""The part of a period by which a run may begin later, so that replicas and services do not all begin at once."""

_SLICE = 30.0  # seconds; a machine that slept looks at the clock again
_RETRY = 2.0  # seconds after the database could not be asked

_LAST = "SELECT started_at FROM atoll.schedules WHERE method = $1"
_FIRST_SEEN = "INSERT INTO atoll.schedules (method, started_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_CLAIM = """
UPDATE atoll.schedules SET started_at = $2::timestamptz
WHERE method = $1 AND started_at <= $2::timestamptz - make_interval(secs => $3)
"""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A method and its period in seconds."""

    name: str
    period: float
    method: Callable[[], Awaitable[None]]


def first_run(last: float, period: float, now: float, chance: float) -> float:
    """When a process that has just taken over begins; all times are seconds of one clock.

    last: when the method last began, in whatever process. One that is overdue begins at once, and once only.
    chance: from 0 to 1, for the jitter.
    """
    return max(last + period + JITTER * period * chance, now)


def next_run(last: float, period: float, now: float, chance: float) -> float:
    """When to begin again after the run that was due at `last`: runs that it overlapped are skipped."""
    missed = max(0, math.floor((now - last) / period))
    return last + (missed + 1) * period + JITTER * period * chance


class Scheduler:
    """Runs methods when they are due, each beside the others, none beside itself.

    database: where it is kept when each last began, so that a period goes on over restarts: an hourly run is not put
    off for ever by hourly deployments. None: a period begins with the process.
    """

    def __init__(self, schedules: Sequence[Scheduled], database: Database | None, telemetry: Telemetry) -> None:
        self._schedules = schedules
        self._database = database
        self._recorder = telemetry.recorder
        self._metrics = telemetry.metrics
        self._held = False
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def lead(self, connection: "asyncpg.Connection[asyncpg.Record]", woken: asyncio.Event) -> None:
        """As a duty of the leader: `run`."""
        del connection, woken
        await self.run()

    async def run(self) -> None:
        """Until cancelled; a run that is under way is cancelled with it."""
        async with asyncio.TaskGroup() as group:
            for schedule in self._schedules:
                group.create_task(self._repeat(schedule), name=f"every {schedule.period:g} s {schedule.name}")

    async def drain(self) -> None:
        """Begin no more runs, and return when those under way have ended. May be cancelled."""
        self._held = True
        await self._idle.wait()

    async def _repeat(self, schedule: Scheduled) -> None:
        last = await self._last(schedule)
        due = first_run(last, schedule.period, time.time(), random.random())  # noqa: S311 (jitter)
        while True:
            while (left := due - time.time()) > 0:  # noqa: ASYNC110 (what it waits for is the time)
                await asyncio.sleep(min(left, _SLICE))
            if not self._held:
                await self._begin(schedule)
            due = next_run(due, schedule.period, time.time(), 0.0)

    async def _begin(self, schedule: Scheduled) -> None:
        self._at_work += 1
        self._idle.clear()
        try:
            if await self._claim(schedule):
                await self._once(schedule)
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()

    async def _last(self, schedule: Scheduled) -> float:
        if self._database is None:
            return time.time()
        while True:
            try:
                await self._database.execute(_FIRST_SEEN, schedule.name, datetime.now(UTC))
                last = await self._database.value(datetime, _LAST, schedule.name)
            except DatabaseError as error:
                logger.warning("%s waits for the database: %s", schedule.name, error)
                await asyncio.sleep(_RETRY)
            else:
                return last.timestamp() if last is not None else time.time()

    async def _claim(self, schedule: Scheduled) -> bool:
        """Whether this run is ours: for a moment there may be two leaders."""
        if self._database is None:
            return True
        try:
            return bool(await self._database.execute(_CLAIM, schedule.name, datetime.now(UTC), schedule.period / 2))
        except DatabaseError as error:
            logger.warning("%s skips a run: %s", schedule.name, error)
            return False

    async def _once(self, schedule: Scheduled) -> None:
        context = Context(new_trace_id())
        current.set(context)
        start = time.monotonic_ns()
        failure = ""
        try:
            await schedule.method()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            failure = type(error).__name__
            logger.exception("%s failed; it runs again in %g s", schedule.name, schedule.period)
        end = time.monotonic_ns()
        self._recorder.record(
            "internal", f"every {schedule.name}", context.trace_id, context.span_id, 0, start, end, failure
        )
        if not failure:
            last = {"atoll.schedule": schedule.name}
            text = "When a run last ended well, since the epoch."
            self._metrics.gauge("atoll.schedule.last_success_seconds", text, last).set(time.time())
        labels = {"atoll.schedule": schedule.name, "error.type": failure}
        self._metrics.histogram("atoll.schedule.duration", "How long scheduled runs take.", labels).observe(
            (end - start) / 1e9
        )
        current.set(None)
