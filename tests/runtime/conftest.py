"""What tests of the runtime share: engines that live as long as the test run, and a fresh database for each test."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import asyncpg
import pytest
import uvloop

from atoll.engines import postgres
from tests.runtime.servers import NatsServer, PostgresServer, engine_folder


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that service processes have."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """PostgreSQL, shared by the tests of one worker. A test that stops it starts it again."""
    folder = engine_folder(tmp_path_factory.mktemp("postgres"), "postgres")
    server = PostgresServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """NATS with JetStream, shared by the tests of one worker. A test that stops it starts it again."""
    folder = engine_folder(tmp_path_factory.mktemp("nats"), "nats")
    server = NatsServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def dsn(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """A fresh, empty database and the role that owns it, made as `atoll run` makes them."""
    owner = postgres.Owner(f"t_{secrets.token_hex(6)}", secrets.token_hex(8))
    known = postgres.Known({}, frozenset(), frozenset(("postgres", "template1")), superuser=True)
    admin = await asyncpg.connect(postgres_server.admin_dsn())
    for statement in postgres.statements([owner], known, postgres.Limits(), secrets.token_bytes(16)):
        await admin.execute(statement)
    await admin.close()
    yield postgres_server.dsn(owner.name, owner.password, owner.name)
    # The test may have restarted the server, so a connection of its own.
    admin = await asyncpg.connect(postgres_server.admin_dsn())
    await admin.execute(f"DROP DATABASE {owner.name} WITH (FORCE)")
    await admin.execute(f"DROP ROLE {owner.name}")
    await admin.close()


@pytest.fixture
async def admin(postgres_server: PostgresServer, dsn: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A superuser's connection to the test's database, to look at it from outside."""
    connection = await asyncpg.connect(postgres_server.admin_dsn(dsn.rpartition("/")[2]))
    yield connection
    await connection.close()
