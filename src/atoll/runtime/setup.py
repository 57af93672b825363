"""Once where a system is deployed: secrets where they are missing, and a database with an owner for each service."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import asyncpg

from atoll.engines import marks, postgres
from atoll.engines.postgres import Owner
from atoll.model.setup import Setup, variable_of
from atoll.provision.databases import adopt_databases, create_databases, let_watch, most_connections
from atoll.provision.passwords import new_password

_LOOK_AGAIN = 1.0


class Store(Protocol):
    """Where secrets are kept."""

    def value(self, secret: str, key: str) -> str | None:
        """None if there is no such secret, or no such key in it. Raises OSError."""
        ...

    def keep(self, name: str, wanted: Mapping[str, str], system: str) -> list[str]:
        """Add the keys that it lacks, and make it first if it is missing; the keys added. Raises OSError."""
        ...


class Variables:
    """What was given to this process; nothing can be added to it."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def value(self, secret: str, key: str) -> str | None:
        return self._given.get(variable_of(secret, key)) or None

    def keep(self, name: str, wanted: Mapping[str, str], system: str) -> list[str]:
        """Raises OSError naming the variable that is missing."""
        for key in wanted:
            if self.value(name, key) is None:
                raise OSError(f"{system}: the variable {variable_of(name, key)} is missing or empty")
        return []


async def set_up(setup: Setup, store: Store, say: Callable[[str], None]) -> None:
    """Make what is missing. What is there stays as it is, so that it may be run at any time.

    Raises AtollError ENGINE_UNUSABLE, and OSError where the store lacks something or does not let us.
    """
    for generated in setup.secrets:
        await _ensure(store, setup, generated.secret, {generated.key: new_password()}, say)
    if not setup.databases:
        return
    kept = await asyncio.to_thread(store.value, setup.admin_secret, setup.admin_key)
    if kept is None:
        raise OSError(f"{setup.system}: the secret {setup.admin_secret} has no key {setup.admin_key}")
    admin = _admin(setup, kept)
    await _until_reachable(admin, say)
    owners = [
        Owner(each.name, await _password(store, each.secret, each.key), each.connections) for each in setup.databases
    ]
    if setup.is_dsn:
        mark = marks.mark(setup.system, f"namespace {setup.namespace}")
        found = await adopt_databases(admin, owners, postgres.Limits(), mark)
        most, wanted = await most_connections(admin), sum(each.connections for each in setup.databases)
        if wanted > most:
            say(
                f"warning: PostgreSQL at {postgres.address(admin)} takes {most} connections, and the services may open "
                f"{wanted} while all are rolled out: raise its max_connections, or lower replicas or connections"
            )
    else:
        await create_databases(admin, owners, postgres.Limits())
        await let_watch(admin, setup.watchers)
        found = {each.name: postgres.redirected(admin, each.name, each) for each in owners}
    for each in setup.databases:
        await _ensure(store, setup, each.secret, {each.key: found[each.name]}, say)
    say(f"{len(owners)} databases are ready")


def _admin(setup: Setup, value: str) -> str:
    if setup.is_dsn:
        return value
    return postgres.dsn(host=setup.host, port=setup.port, user=setup.user, password=value, database=postgres.SUPERUSER)


async def _password(store: Store, secret: str, key: str) -> str:
    """The owner's password in the DSN that is kept; a new one for a new owner."""
    kept = await asyncio.to_thread(store.value, secret, key)
    return new_password() if kept is None else postgres.password_of(kept)


async def _ensure(store: Store, setup: Setup, name: str, wanted: Mapping[str, str], say: Callable[[str], None]) -> None:
    made = await asyncio.to_thread(store.keep, name, wanted, setup.system)
    if made:
        say(f"Secret {name}: made {', '.join(made)}")


async def _until_reachable(dsn: str, say: Callable[[str], None]) -> None:
    """The server may be starting still: there is nothing better to do than to wait, and to say so."""
    said = ""
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=5.0)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
            reason = str(error) or type(error).__name__
            if reason != said:
                say(f"waits for PostgreSQL at {postgres.address(dsn)}: {reason}")
                said = reason
            await asyncio.sleep(_LOOK_AGAIN)
        except asyncpg.PostgresError:
            return  # what it answers is told by whoever uses it
        else:
            connection.terminate()
            return
