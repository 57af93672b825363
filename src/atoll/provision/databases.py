"""A database and a role for each service, on our own PostgreSQL or on one that somebody else runs."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from atoll.engines import marks, postgres
from atoll.engines.postgres import Known, Limits, Owner
from atoll.errors import ENGINE_UNUSABLE

_PATIENCE = 10.0
_TURN = 60.0
"""Seconds to wait for another who sets up the same server."""

_SETTING_UP = int.from_bytes(b"atoll-db", "big")
"""The key of the advisory lock of who does."""


async def create_databases(admin: str, owners: Sequence[Owner], limits: Limits) -> None:
    """Give each owner its database on a server of our own, and close the server's other databases to all of them.

    admin: the superuser's DSN. What exists is kept; the second time nothing is written.
    Raises ENGINE_UNUSABLE if the server can't be reached or refuses.
    """
    try:
        async with _alone(admin) as connection:
            known = await _known(connection)
            for statement in postgres.closing(known):
                await connection.execute(statement)
            await _create(connection, owners, known, limits)
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise _unusable(admin, error) from error


async def adopt_databases(dsn: str, owners: Sequence[Owner], limits: Limits, mark: str) -> dict[str, str]:
    """The DSN of each owner on a server that somebody else runs.

    Where the role of `dsn` may create databases and roles, each owner gets its own, as on our server. Where it may
    not, the databases must be there and are used with the credentials of `dsn`.
    mark: of the system; a role or database of another is never touched.
    Raises ENGINE_UNUSABLE, with the SQL an administrator must run, if one is another's, or missing and can't be made.
    """
    try:
        async with _alone(dsn) as connection:
            known = await _known(connection)
            if await connection.fetchval(postgres.MAY_CREATE):
                await _refuse_others(dsn, owners, known, mark)
                await _create(connection, owners, known, limits, mark)
                return {each.name: postgres.redirected(dsn, each.name, each) for each in owners}
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise _unusable(dsn, error) from error
    missing = sorted(each.name for each in owners if each.name not in known.databases)
    if missing:
        raise ENGINE_UNUSABLE.error(
            engine="PostgreSQL",
            address=postgres.address(dsn),
            reason=f"it has no database {', '.join(missing)}, and this role may not create one",
            do="run as an administrator: "
            + " ".join(f"CREATE DATABASE {postgres.identifier(name)};" for name in missing),
        )
    return {each.name: postgres.redirected(dsn, each.name) for each in owners}


async def _refuse_others(dsn: str, owners: Sequence[Owner], known: Known, mark: str) -> None:
    unproved = [
        each.name
        for each in marks.unmarked(owners, known)
        if not await _is_let_in(postgres.redirected(dsn, each.name, each))
    ]
    found = marks.others(owners, known, mark, unproved)
    if found:
        reason, do = marks.refusal(found, known, mark)
        raise ENGINE_UNUSABLE.error(engine="PostgreSQL", address=postgres.address(dsn), reason=reason, do=do)


async def _is_let_in(dsn: str) -> bool:
    """Whether the password is the role's, whatever became of the database."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_PATIENCE)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    except asyncpg.InvalidCatalogNameError:
        return True
    await connection.close()
    return True


async def most_connections(dsn: str) -> int:
    """How many a server takes of all that are no superuser's. Raises ENGINE_UNUSABLE."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_PATIENCE)
        try:
            return int(await connection.fetchval(postgres.MOST_CONNECTIONS))
        finally:
            await connection.close()
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise _unusable(dsn, error) from error


async def let_watch(admin: str, roles: Sequence[str]) -> None:
    """Let roles of our own server see its figures, and the queries of all; none of their data.

    Raises ENGINE_UNUSABLE.
    """
    if not roles:
        return
    try:
        connection = await asyncpg.connect(admin, timeout=_PATIENCE)
        try:
            for role in roles:
                await connection.execute(f"GRANT pg_monitor TO {postgres.identifier(role)}")
        finally:
            await connection.close()
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise _unusable(admin, error) from error


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator["asyncpg.Connection"]:
    """A connection to a server that nobody else sets up meanwhile: two would make the same database."""
    connection = await asyncpg.connect(dsn, timeout=_PATIENCE)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({_SETTING_UP})", timeout=_TURN)
        yield connection
    finally:
        await connection.close()


async def _create(
    connection: "asyncpg.Connection", owners: Sequence[Owner], known: Known, limits: Limits, mark: str = ""
) -> None:
    for statement in postgres.statements(owners, known, limits, secrets.token_bytes(16), mark=mark):
        await connection.execute(statement)


async def _known(connection: "asyncpg.Connection") -> Known:
    superuser = bool(await connection.fetchval(postgres.IS_SUPERUSER))
    roles = await connection.fetch(postgres.ROLES if superuser else postgres.ROLES_WITHOUT_VERIFIER)
    databases = await connection.fetch(postgres.DATABASES)
    return Known(
        roles={row["name"]: row["verifier"] for row in roles},
        databases=frozenset(row["name"] for row in databases),
        closed=frozenset(row["name"] for row in databases if row["closed"]),
        superuser=superuser,
        connections={row["name"]: row["connections"] for row in roles},
        comments={row["name"]: row["comment"] for row in roles},
    )


def _unusable(dsn: str, error: Exception) -> Exception:
    reason = str(error) or type(error).__name__
    return ENGINE_UNUSABLE.error(
        engine="PostgreSQL",
        address=postgres.address(dsn),
        reason=reason.rstrip("."),
        do="see its log, or correct its address where the environment names it",
    )
