"""A service's events as its process starts and stops them."""

from atoll.model.launch import DatabaseTo, Launch, Messaging
from atoll.model.references import Literal
from atoll.model.resources import Database, Transaction
from atoll.model.service import consumes, every, publishes, read_implementation
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.events.events import Events
from tests.runtime.events.parts import TABLE, Placed, Running, new_telemetry, placed
from tests.waiting import eventually


@publishes(placed)
class Shop:
    """Publishes, consumes, runs on one replica and on each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.alone = self.everywhere = 0

    async def place(self, number: int) -> None:
        async with self._database.transaction() as tx:
            await tx.publish(placed, Placed("a", number))

    @consumes(placed)
    async def note(self, event: Placed, tx: Transaction) -> None:
        await tx.execute("INSERT INTO handled (orders, number) VALUES ($1, $2)", event.order, event.number)

    @every(seconds=0.1)
    async def once(self) -> None:
        self.alone += 1

    @every(seconds=0.1, each_replica=True)
    async def wherever(self) -> None:
        self.everywhere += 1


class Process:
    """One replica of the shop, as its host has it."""

    def __init__(self, running: Running, replica: str) -> None:
        implementation, problems = read_implementation(Shop)
        assert problems == []
        launch = Launch(
            system=running.system,
            service="orders",
            replica=replica,
            kind="service",
            target="",
            database=DatabaseTo(Literal(running.dsn)),
            messaging=Messaging(
                running.server.url,
                "admin",
                Literal(running.server.password),
                publishes=(placed.name,),
                consumes=(running.source("note"),),
            ),
        )
        self.telemetry = new_telemetry(replica)
        self._running = running
        self.events = Events(launch, implementation, self.telemetry, password=running.server.password, dsn=running.dsn)

    async def start(self) -> None:
        await self.events.open()
        outbox = self.events.outbox
        self.database = await PostgresDatabase.open(self._running.dsn, 4, "orders", self.telemetry, outbox)
        await self.database.execute(TABLE)
        self.shop = Shop(self.database)
        self.events.start(self.shop, self.database)

    async def stop(self) -> None:
        assert await self.events.drain(5.0)
        await self.events.stop(1.0)
        await self.database.close()
        await self.events.close()


async def test_a_process_publishes_consumes_and_runs_what_is_due(running: Running) -> None:
    await running.prepare(running.source("note"))
    process = Process(running, "orders-1")
    await process.start()
    await process.shop.place(1)
    await eventually(lambda: is_written(process.database, 1))
    await eventually(lambda: process.shop.alone > 0 and process.shop.everywhere > 0)
    assert process.events.is_connected
    await process.stop()


async def is_written(database: PostgresDatabase, count: int) -> bool:
    return await database.value(int, "SELECT count(*) FROM handled") == count


async def test_of_two_replicas_one_runs_the_schedule_and_each_runs_what_each_shall(running: Running) -> None:
    await running.prepare(running.source("note"))
    processes = [Process(running, "orders-1"), Process(running, "orders-2")]
    for process in processes:
        await process.start()
    await eventually(lambda: all(process.shop.everywhere > 3 for process in processes))
    await eventually(lambda: any(process.shop.alone > 1 for process in processes))
    assert min(process.shop.alone for process in processes) == 0
    for process in processes:
        await process.stop()


async def test_what_was_published_last_is_relayed_before_the_process_ends(running: Running) -> None:
    await running.prepare(running.source("note"))
    process = Process(running, "orders-1")
    await process.start()
    await eventually(lambda: process.shop.alone > 0)
    for number in range(30):
        await process.shop.place(number)
    await process.stop()
    looking = await running.database()
    assert await looking.value(int, "SELECT count(*) FROM atoll.outbox WHERE published_at IS NULL") == 0
    assert await looking.value(int, "SELECT count(*) FROM atoll.outbox") == 30
