"""From the outbox to the streams."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

import asyncpg
import msgspec
import nats.errors
from nats.aio.msg import Msg

from atoll.runtime.events.broker import ANSWER_WITHIN, Broker, Connection, Denied, Lost, NoStream, Refused, stored
from atoll.runtime.telemetry import Telemetry
from atoll.wire import subjects

logger = logging.getLogger("atoll.events")

HORIZON = 60.0
"""Seconds that a published row is kept while the broker is connected; longer than the broker takes to sync to disk."""

_BATCH = 256  # rows in memory
_BATCH_BYTES = 8 * 2**20  # of their payloads; a single larger one is taken alone
_LOOK_EVERY = 1.0  # seconds; a row whose process ended before it could wake us waits no longer
_TIDY_EVERY = 2.0  # seconds
_TIDY_ROWS = 2_000  # deleted by one statement
_COUNT_MOST = 100_000  # pending rows; more are not counted, for counting costs
_INBOX_EVERY = 600.0  # seconds
_RETRY_FIRST, _RETRY_MOST = 0.2, 5.0  # seconds


def _rows(condition: str) -> str:
    """The next rows in their order: a batch, bounded in bytes too."""
    return f"""
SELECT id, event_id, topic, headers, payload FROM (
    SELECT *, sum(octet_length(payload)) OVER (ORDER BY id) - octet_length(payload) AS before FROM (
        SELECT id, event_id, topic, headers, payload FROM atoll.outbox WHERE {condition} ORDER BY id LIMIT {_BATCH}
    ) AS rows
) AS sized WHERE before < {_BATCH_BYTES} ORDER BY id
"""  # noqa: S608 (all of it is ours)


_PENDING = _rows("published_at IS NULL AND topic <> ALL($1::text[])")
_PUBLISHED = _rows("published_at IS NOT NULL AND id > $1")
_MARK = "UPDATE atoll.outbox SET published_at = clock_timestamp() WHERE id = ANY($1::bigint[])"
_UNMARK = "UPDATE atoll.outbox SET published_at = NULL WHERE id = ANY($1::bigint[])"
_TIDY = """
DELETE FROM atoll.outbox WHERE id IN (
    SELECT id FROM atoll.outbox WHERE published_at < clock_timestamp() - make_interval(secs => $1)
    ORDER BY published_at LIMIT $2
)
"""
_STATE = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8
FROM (SELECT created_at FROM atoll.outbox WHERE published_at IS NULL ORDER BY id LIMIT $1) AS pending
"""
_TIDY_INBOX = """
DELETE FROM atoll.inbox WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM atoll.inbox WHERE handled_at < clock_timestamp() - make_interval(secs => $1) LIMIT $2
))
"""

_headers = msgspec.json.Decoder(dict[str, str]).decode


class Relay:
    """Publishes what waits in the outbox, in order, and keeps what it published until the broker surely has it.

    Its lead is given up when the database connection fails; troubles with the broker it sits out.
    remembered: seconds for which the inbox knows what was handled.
    """

    def __init__(self, system: str, broker: Broker, telemetry: Telemetry, remembered: float) -> None:
        self._system = system
        self._broker = broker
        self._remembered = remembered
        labels = {"service": telemetry.service}
        metrics = telemetry.metrics
        self._pending = metrics.gauge("messaging.outbox.pending", "Events that wait to be published.", labels)
        self._oldest = metrics.gauge("messaging.outbox.oldest_seconds", "Age of the oldest of them.", labels)
        self._sent = metrics.counter("messaging.outbox.published", "Events published from the outbox.", labels)
        self._again = metrics.counter(
            "messaging.outbox.republished", "Events published again after a new connection to the broker.", labels
        )
        self._blocked: dict[str, float] = {}
        self._tidied = self._tidied_inbox = 0.0
        self._idle = asyncio.Event()

    async def lead(self, connection: "asyncpg.Connection[asyncpg.Record]", woken: asyncio.Event) -> None:
        """Relay until cancelled. Raises what asyncpg raises when the database connection fails."""
        wait = _RETRY_FIRST
        try:
            while True:
                broker = await self._broker.connection()
                began = time.monotonic()
                try:
                    await self._publish_again(connection, broker)
                    await self._keep_publishing(connection, broker, woken)
                except Lost as error:
                    logger.info("the outbox waits: %s", error)
                wait = _RETRY_FIRST if time.monotonic() - began > _RETRY_MOST else min(2 * wait, _RETRY_MOST)
                await asyncio.sleep(wait)
        finally:
            # Whoever leads next knows better.
            self._pending.set(0)
            self._oldest.set(0)

    async def settle(self, wake: Callable[[], None]) -> None:
        """Return when nothing waits any more of what was stored before; for ever where we don't lead."""
        # Twice: the first look may have begun before the last row was there.
        for _ in range(2):
            self._idle.clear()
            wake()
            await self._idle.wait()

    async def _publish_again(self, connection: "asyncpg.Connection[asyncpg.Record]", broker: Connection) -> None:
        """Publish what is kept once more, under the same ids.

        A new connection may mean that the broker ended and lost what it had confirmed and not yet synced. What it has,
        it recognises. Marked anew, for it may lose it again.
        """
        last, count = 0, 0
        while rows := await connection.fetch(_PUBLISHED, last):
            done = await self._publish(broker, rows)
            await connection.execute(_MARK, done)
            # Of a stream that does not take them now they are lost: they wait, as if never published.
            await connection.execute(_UNMARK, [row["id"] for row in rows if row["id"] not in done])
            last, count = rows[-1]["id"], count + len(done)
        self._again.add(count)
        if count:
            logger.info("published %d events again, for the broker may have lost them", count)

    async def _keep_publishing(
        self, connection: "asyncpg.Connection[asyncpg.Record]", broker: Connection, woken: asyncio.Event
    ) -> None:
        while True:
            if broker.lost.is_set():
                raise Lost("the connection to NATS was lost")
            woken.clear()
            now = time.monotonic()
            self._blocked = {topic: until for topic, until in self._blocked.items() if until > now}
            rows = await connection.fetch(_PENDING, list(self._blocked))
            if rows:
                done = await self._publish(broker, rows)
                await connection.execute(_MARK, done)
                self._sent.add(len(done))
            await self._tidy(connection, now)
            if not rows:
                self._idle.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await woken.wait()

    async def _publish(self, broker: Connection, rows: Sequence[asyncpg.Record]) -> set[int]:
        """Send all rows, wait for all answers; returns the ids of the rows that the streams confirmed.

        Raises Lost, also when the broker does not answer. A topic whose stream refuses is left alone for a while, the
        others go on.
        """
        sent: list[tuple[int, str, asyncio.Future[Msg]]] = []
        for row in rows:
            topic = row["topic"]
            if topic in self._blocked:
                continue
            subject = subjects.subject(self._system, topic)
            try:
                answer = await broker.publish(subject, row["payload"], _headers(row["headers"]))
            except nats.errors.Error as error:
                self._block(topic, f"{type(error).__name__}: {error}")
            else:
                sent.append((row["id"], topic, answer))
        done: set[int] = set()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                for number, topic, answer in sent:
                    try:
                        stored(await answer)
                    except (NoStream, Refused) as error:
                        self._block(topic, str(error))
                    except Denied:
                        self._block(topic, "this service may not publish there")
                    else:
                        done.add(number)
        except TimeoutError as error:
            # Not as such: the database's, which ends the lead, would look the same.
            raise Lost("the broker does not answer") from error
        finally:
            for *_, answer in sent:
                answer.cancel()  # does nothing where the answer is there
        return done

    def _block(self, topic: str, reason: str) -> None:
        if topic not in self._blocked:
            logger.error("events of %r wait in the outbox, their stream does not take them: %s", topic, reason)
        self._blocked[topic] = time.monotonic() + _RETRY_MOST

    async def _tidy(self, connection: "asyncpg.Connection[asyncpg.Record]", now: float) -> None:
        """Delete what is past its time, and look how much waits.

        Only while the broker is connected: what was published just before it went away must be there when it is back.
        """
        if now - self._tidied < _TIDY_EVERY:
            return
        deleted = await connection.execute(_TIDY, HORIZON, _TIDY_ROWS)
        if not deleted.endswith(f" {_TIDY_ROWS}"):
            self._tidied = now  # else there is more: again after the next batch
        ((pending, oldest),) = await connection.fetch(_STATE, _COUNT_MOST)
        self._pending.set(pending)
        self._oldest.set(oldest)
        if now - self._tidied_inbox >= _INBOX_EVERY:
            deleted = await connection.execute(_TIDY_INBOX, self._remembered, _TIDY_ROWS)
            # Come again soon where there is more.
            self._tidied_inbox = now - (_INBOX_EVERY if deleted.endswith(f" {_TIDY_ROWS}") else 0.0)
