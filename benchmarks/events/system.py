"""A source that publishes in transactions, and two sinks that handle each event once. Run as a system of its own."""

import msgspec

from atoll import (
    Database,
    Gateway,
    Limits,
    Postgres,
    Service,
    System,
    Topic,
    Transaction,
    consumes,
    get,
    post,
    publishes,
)


class Placed(msgspec.Struct):
    order_id: str
    customer: str
    total: int


placed = Topic("order-placed", Placed, key="order_id")


@publishes(placed)
class Source:
    def __init__(self, database: Database) -> None:
        self._database = database

    @post("/publish")
    async def publish(self, first: int, count: int) -> int:
        """Publish so many events, in transactions of 100."""
        for start in range(first, first + count, 100):
            async with self._database.transaction() as tx:
                for number in range(start, min(start + 100, first + count)):
                    await tx.publish(placed, Placed(str(number), "ada", number))
        return count


class Sink:
    """Handles each event in a transaction of its own, with a row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> "Sink":
        await self._database.execute("CREATE TABLE IF NOT EXISTS seen (order_id text PRIMARY KEY)")
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    @consumes(placed)
    async def note(self, event: Placed, tx: Transaction) -> None:
        await tx.execute("INSERT INTO seen VALUES ($1)", event.order_id)

    @get("/single/seen")
    async def seen(self) -> int:
        return await self._database.value(int, "SELECT count(*) FROM seen") or 0


class BatchSink:
    """Handles many events in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> "BatchSink":
        await self._database.execute("CREATE TABLE IF NOT EXISTS seen (order_id text PRIMARY KEY)")
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    @consumes(placed, batch=True)
    async def note(self, events: list[Placed], tx: Transaction) -> None:
        await tx.execute("INSERT INTO seen SELECT unnest($1::text[])", [event.order_id for event in events])

    @get("/batched/seen")
    async def seen(self) -> int:
        return await self._database.value(int, "SELECT count(*) FROM seen") or 0


patient = Limits(deadline=120.0)
source = Service("source", Source, database=Postgres(), limits=patient)
single = Service("single", Sink, database=Postgres(connections=20), limits=patient)
batched = Service("batched", BatchSink, database=Postgres(connections=20), limits=patient)


def system_with(sink: Service, name: str) -> System:
    """One sink at a time, so that each has the machine to itself."""
    return System(name, services=[source, sink], gateway=Gateway(expose=[source, sink]))


with_single = system_with(single, "single-events")
with_batched = system_with(batched, "batched-events")
