"""The greeter."""

from atoll import Database, Transaction, consumes
from sample.counter.contract import Count, Counter, counted
from sample.greeter.contract import Greeter

GREETING = "Hello"


class GreeterService(Greeter):
    def __init__(self, counter: Counter, database: Database) -> None:
        self._counter = counter
        self._database = database

    async def __aenter__(self) -> "GreeterService":
        await self._database.execute("CREATE TABLE IF NOT EXISTS heard (name text, value bigint)")
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def hello(self, name: str) -> str:
        count = await self._counter.count(name)
        return f"{GREETING}, {name}, for the {count.value}. time"

    async def heard(self) -> int:
        return await self._database.value(int, "SELECT count(*) FROM heard") or 0

    @consumes(counted)
    async def remember(self, event: Count, tx: Transaction) -> None:
        await tx.execute("INSERT INTO heard VALUES ($1, $2)", event.name, event.value)
