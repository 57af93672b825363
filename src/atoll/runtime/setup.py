"""In a cluster, once a namespace: secrets where they are missing, and a database with an owner for each service."""

import asyncio
import secrets
from collections.abc import Callable, Mapping

import asyncpg

from atoll.engines import postgres
from atoll.engines.postgres import Owner
from atoll.model.setup import Setup
from atoll.provision.databases import adopt_databases, create_databases
from atoll.runtime.api_server import ApiServer

_LOOK_AGAIN = 1.0
_ENTROPY = 32


async def set_up(setup: Setup, server: ApiServer, say: Callable[[str], None]) -> None:
    """Make what is missing. What is there stays as it is, so that it may be run at any time.

    Raises AtollError ENGINE_UNUSABLE, and OSError where the API server does not let us.
    """
    for generated in setup.secrets:
        await _ensure(server, setup, generated.secret, {generated.key: new_password()}, say)
    if not setup.databases:
        return
    kept = await asyncio.to_thread(server.secret, setup.admin_secret)
    admin = _admin(setup, kept[setup.admin_key])
    await _until_reachable(admin, say)
    owners = [Owner(each.name, await _password(server, each.secret, each.key)) for each in setup.databases]
    if setup.is_dsn:
        found = await adopt_databases(admin, owners, postgres.Limits())
    else:
        await create_databases(admin, owners, postgres.Limits())
        found = {each.name: postgres.redirected(admin, each.name, each) for each in owners}
    for each in setup.databases:
        await _ensure(server, setup, each.secret, {each.key: found[each.name]}, say)
    say(f"{len(owners)} databases are ready")


def new_password() -> str:
    """Random, and begins with a letter: NATS reads a variable that begins with a digit as a number."""
    return "p" + secrets.token_hex(_ENTROPY)


def _admin(setup: Setup, value: str) -> str:
    if setup.is_dsn:
        return value
    return postgres.dsn(host=setup.host, port=setup.port, user=setup.user, password=value, database=postgres.SUPERUSER)


async def _password(server: ApiServer, secret: str, key: str) -> str:
    """The owner's password in the DSN that is kept; a new one for a new owner."""
    kept = await asyncio.to_thread(server.secret, secret)
    return postgres.password_of(kept[key]) if key in kept else new_password()


async def _ensure(
    server: ApiServer, setup: Setup, name: str, wanted: Mapping[str, str], say: Callable[[str], None]
) -> None:
    made = await asyncio.to_thread(server.keep_secret, name, wanted, setup.system)
    if made:
        say(f"Secret {name}: made {', '.join(made)}")


async def _until_reachable(dsn: str, say: Callable[[str], None]) -> None:
    """The server may be starting still; who limits the time is the Job."""
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
