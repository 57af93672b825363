"""Advisory locks: how their keys are made from names, and how to wait for one."""

import asyncio
import hashlib
import time

import asyncpg

LOOK_AGAIN = 0.05
"""Seconds between two tries to get a lock."""


def lock_key(*names: str) -> int:
    """The key of the lock with these names: 64 bits, signed, as PostgreSQL takes them. Two never meet in practice."""
    digest = hashlib.sha256("\0".join(("atoll", *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


async def wait_for_lock(connection: "asyncpg.Connection[asyncpg.Record]", key: int, patience: float) -> bool:
    """Take the lock for the session, within `patience` seconds; whether it was to be had.

    Asks again and again instead of waiting in PostgreSQL: a statement that waits has a snapshot, for whose end a
    CREATE INDEX CONCURRENTLY of the lock's owner would wait in turn.
    """
    until = time.monotonic() + patience
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(LOOK_AGAIN)
    return True


async def unlock(connection: "asyncpg.Connection[asyncpg.Record]", key: int) -> None:
    """Give the session's lock back; with a lost connection it is free already."""
    if not connection.is_closed():
        await connection.execute("SELECT pg_advisory_unlock($1)", key)
