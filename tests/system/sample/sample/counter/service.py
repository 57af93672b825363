"""The counter."""

from atoll import Database, publishes
from sample.counter.contract import Count, Counter, counted

UPSERT = """
INSERT INTO counts (name, value) VALUES ($1, 1)
ON CONFLICT (name) DO UPDATE SET value = counts.value + 1 RETURNING name, value
"""


@publishes(counted)
class CounterService(Counter):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, name: str) -> Count:
        async with self._database.transaction() as tx:
            found = await tx.one(Count, UPSERT, name)
            assert found is not None
            await tx.publish(counted, found)
            return tx.answer(found)

    async def value(self, name: str) -> Count:
        found = await self._database.one(Count, "SELECT name, value FROM counts WHERE name = $1", name)
        return found or Count(name, 0)
