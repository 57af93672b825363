"""One statement on one connection: with the caller's deadline, our errors, a span and a duration."""

import math
import time
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from atoll.errors import ConstraintViolated
from atoll.runtime.context import Context, new_span_id
from atoll.runtime.database.errors import translation
from atoll.runtime.database.pool import Connection, Pool
from atoll.runtime.database.sql import leaves_state, summarize
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Histogram

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

DEFAULT_TIME = 30.0
"""Seconds for a statement whose caller has no deadline."""
_SYSTEM = ("db.system.name", "postgresql")
MOST_REMEMBERED = 1_000
"""Statements whose names are remembered; SQL that is put together anew each time pays for its name each time."""


class Call(Protocol[R_co]):
    """A method of an asyncpg connection such as fetchrow."""

    def __call__(self, sql: str, /, *arguments: object, timeout: float) -> Awaitable[R_co]: ...


class Known:
    """What is worked out once for each text of a statement. attributes: of its spans, flat."""

    __slots__ = ("attributes", "duration", "leaves_state", "summary")

    def __init__(self, summary: str, duration: Histogram, attributes: tuple[object, ...], leaves_state: bool) -> None:
        self.summary = summary
        self.duration = duration
        self.attributes = attributes
        self.leaves_state = leaves_state


class Statements:
    """Runs statements, and records each as OpenTelemetry's conventions for databases have it."""

    def __init__(self, service: str, database: str, telemetry: Telemetry) -> None:
        self._service = service
        self._database = database
        self._recorder = telemetry.recorder
        self._metrics = telemetry.metrics
        self._known: dict[str, Known] = {}
        self._waited = telemetry.metrics.histogram(
            "db.client.connection.wait_time", "How long a call waits for a connection.", {}
        )

    def known(self, sql: str) -> Known:
        return self._known.get(sql) or self._learn(sql)

    async def run(
        self, call: Call[T], sql: str, arguments: tuple[object, ...], until: float, context: Context | None
    ) -> T:
        """What the call returns. until: when it ends at the latest, in seconds of time.monotonic().

        Raises QueryTimeout, DatabaseUnreachable, ConstraintViolated, QueryFailed.
        """
        known = self._known.get(sql) or self._learn(sql)
        failed, attributes = "", known.attributes
        started = time.monotonic_ns()
        try:
            left = until - started / 1e9
            if left <= 0:
                raise TimeoutError
            return await call(sql, *arguments, timeout=left)
        except BaseException as error:
            ours = translation(error, self._service)
            if isinstance(ours, ConstraintViolated):
                # It did what it is there for: to whoever watches, a row refused is no trouble of the database's.
                attributes = (*attributes, "db.response.status_code", ours.sqlstate)
            else:
                failed = type(ours or error).__name__
            if ours is None:
                raise
            raise ours from error
        finally:
            ended = time.monotonic_ns()
            known.duration.observe((ended - started) / 1e9)
            self._record(context, known.summary, started, ended, failed, attributes)

    async def take(self, pool: Pool, until: float, context: Context | None) -> Connection:
        """A connection of the pool; that the caller had to wait for it is recorded. Raises as `Pool.take` does."""
        failed = ""
        started = time.monotonic_ns()
        try:
            return await pool.take(until)
        except BaseException as error:
            failed = type(error).__name__
            raise
        finally:
            ended = time.monotonic_ns()
            self._waited.observe((ended - started) / 1e9)
            self._record(context, "connection", started, ended, failed, _SYSTEM)

    def _record(
        self,
        context: Context | None,
        name: str,
        started: int,
        ended: int,
        failed: str,
        attributes: tuple[object, ...],
    ) -> None:
        if context is not None and context.sampled:
            self._recorder.record(
                "client", name, context.trace_id, new_span_id(), context.span_id, started, ended, failed, attributes
            )

    def _learn(self, sql: str) -> Known:
        summary = summarize(sql)
        labels = {"db.system.name": "postgresql", "db.operation.name": summary.operation}
        duration = self._metrics.histogram("db.client.operation.duration", "How long a statement takes.", labels)
        attributes = (
            *("db.system.name", "postgresql", "db.namespace", self._database),
            *("db.operation.name", summary.operation, "db.query.summary", summary.text),
        )
        known = Known(summary.text, duration, attributes, leaves_state(sql, summary.operation))
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[sql] = known
        return known


def deadline(context: Context | None) -> float:
    """Until when a statement may take, in seconds of time.monotonic()."""
    if context is None or context.deadline == math.inf:
        return time.monotonic() + DEFAULT_TIME
    return context.deadline


def affected(status: str) -> int:
    """How many rows a command tag such as "INSERT 0 3" speaks of."""
    number = status.rpartition(" ")[2]
    return int(number) if number.isdigit() else 0
