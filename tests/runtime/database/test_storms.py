"""Many calls at once, some cancelled or out of time at any moment: the pool and the keys are whole afterwards."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from atoll.errors import DatabaseError
from atoll.runtime.context import Context, current, new_trace_id
from atoll.runtime.database.claims import Claims
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.idempotency import Answer, Idempotency, KeyRefused
from atoll.runtime.telemetry import Telemetry
from tests.runtime.database.parts import Admin
from tests.waiting import eventually

CALLERS, CALLS = 12, 60
BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
LOCKS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Undone(Exception):
    """What a handler raises."""


async def storm(call: Callable[[random.Random], Awaitable[None]]) -> None:
    """The call again and again by many at once; a third is cancelled somewhere, a fifth has hardly any time."""
    chance = random.Random(1)

    async def caller() -> None:
        for _ in range(CALLS):
            left = 0.005 if chance.random() < 0.2 else 10.0
            current.set(Context(new_trace_id(), deadline=time.monotonic() + left))
            task = asyncio.ensure_future(call(chance))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.002)
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, DatabaseError, KeyRefused, Undone):
                await task

    async with asyncio.timeout(30):
        await asyncio.gather(*(asyncio.create_task(caller()) for _ in range(CALLERS)))


async def test_in_a_storm_of_statements_and_transactions_every_connection_comes_back(
    database: PostgresDatabase, admin: Admin, telemetry: Telemetry
) -> None:
    await database.execute("CREATE TABLE drops (n int)")

    async def call(chance: random.Random) -> None:
        match chance.randrange(4):
            case 0:
                await database.execute("SELECT pg_sleep($1)", chance.random() * 0.003)
            case 1:
                await database.execute("SELECT 1 / 0")
            case 2:
                async with database.lease() as connection:
                    await connection.execute("SET search_path = pg_catalog")
            case _:
                async with database.transaction() as tx:
                    await tx.execute("INSERT INTO drops VALUES (1)")
                    if chance.random() < 0.2:
                        raise Undone

    await storm(call)
    # Then none is at work any more, nobody waits, and the server has no more of them than the pool
    page = telemetry.metrics.render
    await eventually(lambda: 'db_client_connection_count{db_client_connection_state="used"} 0\n' in page(), why=page)
    assert "db_client_connection_pending_requests 0\n" in page()
    assert await admin.fetchval(BACKENDS) <= 3
    assert await asyncio.gather(*(database.value(int, "SELECT 1") for _ in range(9))) == [1] * 9


async def test_in_a_storm_of_keys_one_at_a_time_runs_under_each_and_none_stays_locked(
    database: PostgresDatabase, admin: Admin
) -> None:
    claims, inside, most = Claims(database), Counter[str](), 0

    async def call(chance: random.Random) -> None:
        nonlocal most
        key = f"key {chance.randrange(40)}"
        idempotency = Idempotency(key, b"the same", lambda _: Answer(200, (), b"{}"))
        async with claims.claim(idempotency):
            if idempotency.kept is not None:
                return
            context = current.get()
            assert context is not None
            context.idempotency = idempotency
            inside[key] += 1
            most = max(most, inside[key])
            try:
                async with database.transaction() as tx:
                    tx.answer(None)
                    if chance.random() < 0.8:
                        raise Undone
            finally:
                inside[key] -= 1

    await storm(call)
    assert most == 1

    async def nothing_is_locked() -> bool:
        return bool(await admin.fetchval(LOCKS) == 0)

    await eventually(nothing_is_locked)
    await claims.close()
