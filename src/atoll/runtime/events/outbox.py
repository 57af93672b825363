"""Events that wait in the service's own database, stored with what they tell of or not at all."""

from collections.abc import Callable, Sequence

import asyncpg
import msgspec

from atoll.model.resources import AnyTopic
from atoll.runtime.events.outgoing import Outgoing, Writer

_ONE = "INSERT INTO atoll.outbox (event_id, topic, key, headers, payload) VALUES ($1, $2, $3, $4, $5)"
_MANY = """
INSERT INTO atoll.outbox (event_id, topic, key, headers, payload)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
"""


class Outbox:
    """What a transaction does with the events that are published in it.

    Rows are stored together just before COMMIT. So their ids are taken while the transaction holds its row locks, and
    whoever changes the same rows gets ids in the order of commits: that is what keeps events of one key in order.
    wake: tells whoever relays the outbox that there is something to relay.
    """

    most = 1_000
    """Rows that a transaction holds in memory; at the limit it stores them early."""

    def __init__(self, writer: Writer, wake: Callable[[], None]) -> None:
        self._writer = writer
        self._wake = wake

    def prepare(self, topic: AnyTopic, event: object) -> Outgoing:
        """The event, to be given to `store`. Raises EventError: topic not declared, value of another type."""
        return self._writer.write(topic, event)

    async def store(self, connection: "asyncpg.Connection[asyncpg.Record]", rows: Sequence[Outgoing]) -> None:
        """Insert the rows, in order, in the transaction that is open on the connection. One statement."""
        columns = [(row.id, row.topic, row.key, msgspec.json.encode(row.headers).decode(), row.payload) for row in rows]
        if len(columns) == 1:
            await connection.execute(_ONE, *columns[0])
        elif columns:
            await connection.execute(_MANY, *(list(column) for column in zip(*columns, strict=True)))

    def committed(self) -> None:
        """The transaction that stored rows has committed."""
        self._wake()
