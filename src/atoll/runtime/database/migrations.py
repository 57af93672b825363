"""Brings a database to the state that a service's migration files describe."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from atoll.errors import (
    MIGRATION_FAILED,
    MIGRATION_LOCKED,
    MIGRATION_STOPPED,
    MIGRATION_UNFIT,
    MIGRATIONS_MISSING,
    DatabaseError,
    Problem,
    fail,
)
from atoll.model.migrations import checksum, migration_problems
from atoll.runtime.database.errors import told, translated
from atoll.runtime.database.locks import unlock, wait_for_lock
from atoll.runtime.database.pool import Connection
from atoll.runtime.database.sql import Statement, statements
from atoll.runtime.database.tables import LOCK_PATIENCE, MIGRATION_LOCK, OWN_TABLES

LOCK_TIMEOUT = "10s"
"""How long a statement waits for a table lock. Behind a migration that waits, every query of the table waits too."""

_AS_LONG_AS_IT_TAKES = """
SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout')
"""
"""Whatever a role or a file before it says: a large table takes hours. A file that wants a bound sets one itself."""

_CUT_OFF = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""The server went away, which says nothing of the file."""

NO_TRANSACTION = "-- atoll: no transaction"
"""The first line of a file whose statements can't be in a transaction, such as CREATE INDEX CONCURRENTLY."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. transactional: its statements take effect together, and with the record of it."""

    file: str
    place: str
    checksum: str
    statements: tuple[Statement, ...]
    transactional: bool


def read_migrations(
    service: str, folder: str, files: Iterable[tuple[str, bytes]]
) -> tuple[tuple[Migration, ...], list[Problem]]:
    """The migrations in their order, and everything that is wrong in their contents. Touches nothing.

    files: name and content. folder: for the places of problems.
    """
    migrations: list[Migration] = []
    problems: list[Problem] = []
    for file, content in sorted(files):
        place = f"{folder}/{file}"
        try:
            sql = content.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            problems.append(
                MIGRATION_UNFIT.at(
                    f"{place}:{line}", service=service, file=file, reason="is not UTF-8", do="convert it"
                )
            )
            continue
        transactional = sql.partition("\n")[0].strip() != NO_TRANSACTION
        migration = Migration(file, place, checksum(content), tuple(statements(sql)), transactional)
        migrations.append(migration)
        problems += _unfit(service, migration)
    return tuple(migrations), problems


def _unfit(service: str, migration: Migration) -> Iterable[Problem]:
    if not migration.statements:
        yield MIGRATION_UNFIT.at(
            migration.place,
            service=service,
            file=migration.file,
            reason="has no statement",
            do="write one, for an empty file can't be changed once it is applied",
        )
    for statement in migration.statements:
        if statement.ends_transaction:
            yield MIGRATION_UNFIT.at(
                f"{migration.place}:{statement.line}",
                service=service,
                file=migration.file,
                reason=f"has a {statement.words[0]} of its own",
                do=f"leave it out: each file is one transaction, unless its first line is {NO_TRANSACTION!r}",
            )


def pending(migrations: Iterable[Migration], applied: Mapping[str, str]) -> tuple[Migration, ...]:
    """Those that are still to be applied. applied: checksum by file name."""
    return tuple(migration for migration in migrations if migration.file not in applied)


async def migrate(connection: Connection, service: str, folder: Path) -> list[str]:
    """Apply what is new in the folder, each file in a transaction of its own; the names of the files applied.

    Several processes may do it at once: the others wait, and find nothing to do. What was applied before a file that
    fails stays applied. Raises AtollError with all that is wrong: BAD_MIGRATION_NAME, MIGRATION_EDITED,
    MIGRATION_UNFIT, before anything is changed; MIGRATION_FAILED with file and line; MIGRATION_LOCKED. A statement may
    take as long as it takes.
    """
    if not folder.is_dir():
        fail([MIGRATIONS_MISSING.at(service=service, folder=folder, reason="does not exist")])
    # A handful of small files, in a process that does nothing else.
    contents = [(path.name, path.read_bytes()) for path in folder.glob("*.sql")]
    migrations, problems = read_migrations(service, str(folder), contents)
    files = {file: checksum(content) for file, content in contents}
    with translated(service):
        if not await wait_for_lock(connection, MIGRATION_LOCK, LOCK_PATIENCE):
            fail([MIGRATION_LOCKED.at(service=service, seconds=LOCK_PATIENCE)])
        try:
            applied = await _applied(connection)
            problems = migration_problems(service, str(folder), files, applied) + problems
            if problems:
                fail(problems)
            todo = pending(migrations, applied)
            for migration in todo:
                await _apply(connection, service, migration)
        finally:
            await unlock(connection, MIGRATION_LOCK)
    return [migration.file for migration in todo]


async def _applied(connection: Connection) -> dict[str, str]:
    if await connection.fetchval("SELECT to_regclass('atoll.migrations') IS NULL"):
        await connection.execute(OWN_TABLES)
    rows = await connection.fetch("SELECT file, checksum FROM atoll.migrations")
    return {row["file"]: row["checksum"] for row in rows}


async def _apply(connection: Connection, service: str, migration: Migration) -> None:
    await connection.execute(_AS_LONG_AS_IT_TAKES)
    if not migration.transactional:
        await _run(connection, service, migration)
        await connection.execute(_AS_LONG_AS_IT_TAKES)  # a bound of the file's own is none of what we note
        await _record(connection, migration)
        return
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await _run(connection, service, migration)
        await _record(connection, migration)


async def _record(connection: Connection, migration: Migration) -> None:
    sql = "INSERT INTO atoll.migrations (file, checksum) VALUES ($1, $2)"
    await connection.execute(sql, migration.file, migration.checksum)


async def _run(connection: Connection, service: str, migration: Migration) -> None:
    """Statement by statement, for PostgreSQL tells the place of some errors only, and of others just the statement."""
    for statement in migration.statements:
        try:
            await connection.execute(statement.text)
        except asyncpg.PostgresError as error:
            if isinstance(error, _CUT_OFF):
                raise
            kind = MIGRATION_FAILED if migration.transactional else MIGRATION_STOPPED
            line = statement.line_at(int(getattr(error, "position", None) or 1))
            problem = kind.at(
                f"{migration.place}:{line}",
                service=service,
                file=migration.file,
                reason=told(error),
                detail=getattr(error, "detail", None) or "",
            )
            sqlstate = str(getattr(error, "sqlstate", ""))
            raise DatabaseError(problem, sqlstate=sqlstate) from error
