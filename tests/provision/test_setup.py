"""The setup gives each service's role as many connections as the declaration needs, here and on a server elsewhere."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from atoll.engines import postgres
from atoll.engines.connections import allowed, room
from atoll.engines.postgres import Limits, Owner, Server
from atoll.errors import AtollError
from atoll.model.setup import OwnDatabase, Setup, variable_of
from atoll.runtime.setup import Variables, set_up
from atoll.supervisor.home import Home
from atoll.supervisor.initdb import prepare_postgres, service_dsn, superuser_dsn
from atoll.wire.description import Description, MemberData
from tests.engines.running import running
from tests.ports import free_port
from tests.supervisor.described import sample

MOST = 10
SECRET, KEY = "counter-database", "url"
ADMIN = "managed"


@pytest.fixture(scope="module")
def system() -> Description:
    return sample()


@pytest.fixture
def member(system: Description) -> MemberData:
    found = system.member("counter")
    assert found is not None
    return found


@asynccontextmanager
async def server_of(home: Home, limits: Limits) -> AsyncIterator[Server]:
    made = await prepare_postgres(home, free_port(), limits)
    async with running(postgres.engine(made), home.logs / "postgres.log"):
        yield made


async def made_ready(
    server: Server, home: Home, connections: int, *, is_dsn: bool = False, namespace: str = "shop"
) -> list[str]:
    """What the setup says."""
    owner = Owner("counter", "pw")
    admin = superuser_dsn(home, server)
    wanted = Setup(
        namespace=namespace,
        system="shop",
        host=server.host,
        port=server.port,
        user=postgres.SUPERUSER,
        admin_secret=ADMIN,
        admin_key="dsn",
        is_dsn=is_dsn,
        databases=(OwnDatabase("counter", SECRET, KEY, connections),),
    )
    given = {
        variable_of(ADMIN, "dsn"): admin if is_dsn else postgres.password_of(admin),
        variable_of(SECRET, KEY): service_dsn(server, owner),
    }
    said: list[str] = []
    await set_up(wanted, Variables(given), said.append)
    return said


async def test_all_pools_of_old_and_new_replicas_and_a_preparation_are_let_in(home: Home, member: MemberData) -> None:
    # Given a service of ten replicas, whose role and server are as the declaration says
    most = allowed(member, MOST)
    async with server_of(home, room([most])) as server, AsyncExitStack() as opened:
        await made_ready(server, home, most)
        # When each of them, and one more for each while they are replaced, fills its pool and wants to be elected
        assert member.database
        dsn = service_dsn(server, Owner("counter", "pw"))
        for _ in range(2 * MOST * (member.database.connections + 1)):
            opened.push_async_callback((await asyncpg.connect(dsn)).close)
        # Then the next version's preparation still gets in
        await (await asyncpg.connect(dsn)).close()


async def test_a_server_elsewhere_that_takes_fewer_is_told_of_with_both_numbers(home: Home, member: MemberData) -> None:
    most = allowed(member, MOST)
    async with server_of(home, Limits(connections=50)) as server:
        (warned,) = [line for line in await made_ready(server, home, most, is_dsn=True) if line.startswith("warning")]
        assert f"takes {50 - 3} connections" in warned
        assert str(most) in warned
        assert "max_connections" in warned
        assert not [line for line in await made_ready(server, home, 40, is_dsn=True) if line.startswith("warning")]


async def test_the_setup_of_another_namespace_takes_no_database_of_the_first(home: Home) -> None:
    async with server_of(home, Limits()) as server:
        await made_ready(server, home, 10, is_dsn=True, namespace="production")
        with pytest.raises(AtollError, match="counter is of shop, namespace production"):
            await made_ready(server, home, 10, is_dsn=True, namespace="staging")
        await made_ready(server, home, 10, is_dsn=True, namespace="production")
