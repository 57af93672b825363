"""The tables that atoll keeps in a service's own database, in the schema `atoll`."""

from atoll.errors import MIGRATION_LOCKED
from atoll.runtime.database.errors import translated
from atoll.runtime.database.locks import lock_key, unlock, wait_for_lock
from atoll.runtime.database.pool import Connection

OWN_TABLES = """
CREATE SCHEMA IF NOT EXISTS atoll;

CREATE TABLE IF NOT EXISTS atoll.migrations (
    file text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS atoll.idempotency (
    scope text NOT NULL,
    key text NOT NULL,
    claim bigint NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX IF NOT EXISTS idempotency_kept_at ON atoll.idempotency (kept_at);
"""

KEEP_ANSWER = """
INSERT INTO atoll.idempotency AS kept (scope, key, claim, fingerprint, status, headers, body)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (scope, key) DO UPDATE SET status = excluded.status, headers = excluded.headers, body = excluded.body
WHERE kept.claim = excluded.claim
"""

FIND_ANSWERS = """
SELECT scope, key, fingerprint, status, headers, body FROM atoll.idempotency
JOIN unnest($1::text[], $2::text[]) AS wanted (scope, key) USING (scope, key)
"""

# Rows that another replica is deleting are skipped: both may do it at once.
PURGE_ANSWERS = """
DELETE FROM atoll.idempotency WHERE (scope, key) IN (
    SELECT scope, key FROM atoll.idempotency WHERE kept_at < now() - make_interval(secs => $1)
    ORDER BY kept_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""

MIGRATION_LOCK = lock_key("migrations")


LOCK_PATIENCE = 60.0
"""Seconds to wait for another process that changes the tables of the same database."""


async def make_tables(connection: Connection, service: str, *more: str) -> None:
    """Make what is missing of atoll's own tables; `more` is SQL that may be run again, in the same transaction.

    Two processes may do it at once. Raises AtollError MIGRATION_LOCKED.
    """
    with translated(service):
        # IF NOT EXISTS alone fails when two create the same table in the same moment.
        if not await wait_for_lock(connection, MIGRATION_LOCK, LOCK_PATIENCE):
            raise MIGRATION_LOCKED.error(service=service, seconds=LOCK_PATIENCE)
        try:
            async with connection.transaction():
                for sql in (OWN_TABLES, *more):
                    await connection.execute(sql)
        finally:
            await unlock(connection, MIGRATION_LOCK)
