import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from atoll.engines import marks, postgres
from atoll.engines.postgres import Limits, Owner, Server
from atoll.errors import AtollError
from atoll.provision.databases import adopt_databases, create_databases
from atoll.supervisor.home import Home
from atoll.supervisor.initdb import owners, prepare_postgres, service_dsn, superuser_dsn
from tests.engines.running import running
from tests.ports import free_port

SHOP = marks.mark("shop", "namespace production")
STAGING = marks.mark("shop", "namespace staging")


@pytest.fixture
async def server(home: Home) -> AsyncIterator[Server]:
    made = await prepare_postgres(home, free_port())
    async with running(postgres.engine(made), home.logs / "postgres.log"):
        yield made


async def run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for each in statements:
            await connection.execute(each)
    finally:
        await connection.close()


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_service_owns_its_database_and_can_not_enter_anothers(home: Home, server: Server) -> None:
    # Given two services, one with a row
    users, cart = owners(home, ["users", "cart-eu"])
    await create_databases(superuser_dsn(home, server), [users, cart], Limits())
    mine, theirs = service_dsn(server, users), service_dsn(server, cart)
    await run(theirs, "CREATE SCHEMA atoll", "CREATE TABLE baskets (id int)", "INSERT INTO baskets VALUES (1)")
    assert await value(theirs, "SELECT count(*) FROM baskets") == 1
    # When the other tries every database there is, Then it enters its own alone
    assert await value(mine, "SELECT current_database()") == "users"
    for database in ("cart-eu", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await value(postgres.redirected(mine, database), "SELECT 1")
    # And neither files nor programs of the server, nor other roles, are within its reach
    for forbidden in (
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "CREATE ROLE friend SUPERUSER",
        "CREATE DATABASE another",
        'SET ROLE "cart-eu"',
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(mine, forbidden)


async def test_doing_it_again_changes_nothing(home: Home, server: Server) -> None:
    admin, wanted = superuser_dsn(home, server), owners(home, ["users"])
    await create_databases(admin, wanted, Limits())
    before = await value(admin, "SELECT array_agg(xmin::text || datname ORDER BY datname) FROM pg_database")
    await create_databases(admin, wanted, Limits())
    assert before == await value(admin, "SELECT array_agg(xmin::text || datname ORDER BY datname) FROM pg_database")
    assert await value(service_dsn(server, wanted[0]), "SELECT 1") == 1


async def test_two_who_set_up_the_same_server_at_a_time_take_turns(home: Home, server: Server) -> None:
    admin, wanted = superuser_dsn(home, server), owners(home, ["users", "cart-eu"])
    await asyncio.gather(*(create_databases(admin, wanted, Limits()) for _ in range(6)))
    assert [await value(service_dsn(server, each), "SELECT 1") for each in wanted] == [1, 1]


async def test_a_new_password_of_a_known_service_is_set(home: Home, server: Server) -> None:
    await create_databases(superuser_dsn(home, server), [Owner("users", "old")], Limits())
    await create_databases(superuser_dsn(home, server), [Owner("users", "new")], Limits())
    assert await value(service_dsn(server, Owner("users", "new")), "SELECT 1") == 1
    with pytest.raises(asyncpg.InvalidPasswordError):
        await value(service_dsn(server, Owner("users", "old")), "SELECT 1")


async def test_a_service_has_no_more_connections_than_its_limit(home: Home, server: Server) -> None:
    owner = Owner("users", "pw", connections=1)
    await create_databases(superuser_dsn(home, server), [owner], Limits())
    first = await asyncpg.connect(service_dsn(server, owner))
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await asyncpg.connect(service_dsn(server, owner))
    # When the declaration has more replicas, Then the role that is there already has more too.
    await create_databases(superuser_dsn(home, server), [replace(owner, connections=2)], Limits())
    second = await asyncpg.connect(service_dsn(server, owner))
    await first.close()
    await second.close()


async def test_who_is_no_superuser_raises_the_limit_of_a_role_that_it_made(home: Home, server: Server) -> None:
    await run(superuser_dsn(home, server), "CREATE ROLE dba LOGIN CREATEDB CREATEROLE PASSWORD 'pw'")
    dba = postgres.redirected(superuser_dsn(home, server), "postgres", Owner("dba", "pw"))
    await adopt_databases(dba, [Owner("users", "one", connections=1)], Limits(), SHOP)
    await adopt_databases(dba, [Owner("users", "one", connections=7)], Limits(), SHOP)
    assert await value(dba, "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'users'") == 7


async def test_a_server_that_is_not_there_is_an_error_without_its_password() -> None:
    port = free_port()
    with pytest.raises(AtollError) as caught:
        await create_databases(f"postgresql://postgres:hush@127.0.0.1:{port}/postgres", [], Limits())
    assert caught.value.problems[0].code == "ATL4009"
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_on_anothers_server_an_administrator_without_superuser_makes_the_databases(
    home: Home, server: Server
) -> None:
    await run(superuser_dsn(home, server), "CREATE ROLE dba LOGIN CREATEDB CREATEROLE PASSWORD 'pw'")
    dba = postgres.redirected(superuser_dsn(home, server), "postgres", Owner("dba", "pw"))
    wanted = [Owner("users", "one"), Owner("cart", "two")]
    adopted = await adopt_databases(dba, wanted, Limits(), SHOP)
    assert await adopt_databases(dba, wanted, Limits(), SHOP) == adopted
    assert await value(adopted["users"], "SELECT current_user || '@' || current_database()") == "users@users"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await value(postgres.redirected(adopted["users"], "cart"), "SELECT 1")
    # What was open on a server of others stays open.
    assert await value(postgres.redirected(adopted["users"], "postgres"), "SELECT 1") == 1


async def test_on_anothers_server_a_role_without_rights_uses_what_is_there(home: Home, server: Server) -> None:
    admin = superuser_dsn(home, server)
    await run(admin, "CREATE ROLE app LOGIN PASSWORD 'pw'", "CREATE DATABASE users OWNER app")
    app = postgres.redirected(admin, "postgres", Owner("app", "pw"))
    adopted = await adopt_databases(app, [Owner("users", "unused")], Limits(), SHOP)
    assert await value(adopted["users"], "SELECT current_user || '@' || current_database()") == "app@users"
    with pytest.raises(AtollError) as caught:
        await adopt_databases(app, [Owner("users", "unused"), Owner("cart", "unused")], Limits(), SHOP)
    assert 'CREATE DATABASE "cart";' in caught.value.problems[0].do


@pytest.fixture(params=["superuser", "dba"])
async def admin(request: pytest.FixtureRequest, home: Home, server: Server) -> str:
    """The DSN of who may make databases: of all roles, or of one that may do just that."""
    superuser = superuser_dsn(home, server)
    if request.param == "superuser":
        return superuser
    await run(superuser, "CREATE ROLE dba LOGIN CREATEDB CREATEROLE PASSWORD 'pw'")
    return postgres.redirected(superuser, "postgres", Owner("dba", "pw"))


async def refused(admin: str, owner: Owner, mark: str) -> str:
    """The statements that the error names."""
    with pytest.raises(AtollError) as caught:
        await adopt_databases(admin, [owner], Limits(), mark)
    (problem,) = caught.value.problems
    assert problem.code == "ATL4009"
    return problem.do.partition("to this system: ")[2]


async def test_what_one_environment_has_made_no_other_takes(admin: str) -> None:
    # Given production, with a row
    first = await adopt_databases(admin, [Owner("users", "production")], Limits(), SHOP)
    await run(first["users"], "CREATE TABLE kept (id int)")
    # When staging, and another system, deploy with a DSN to the same server
    for another in (STAGING, marks.mark("billing", "namespace production")):
        with pytest.raises(AtollError, match=r"users is of shop, namespace production"):
            await adopt_databases(admin, [Owner("users", "theirs")], Limits(), another)
    # Then production's password is as it was
    assert await value(first["users"], "SELECT count(*) FROM kept") == 0


async def test_a_system_whose_secrets_are_lost_has_its_databases_back(admin: str) -> None:
    first = await adopt_databases(admin, [Owner("users", "lost")], Limits(), SHOP)
    await run(first["users"], "CREATE TABLE kept (id int)")
    again = await adopt_databases(admin, [Owner("users", "new")], Limits(), SHOP)
    assert await value(again["users"], "SELECT count(*) FROM kept") == 0


async def test_a_database_that_was_restored_under_its_role_is_still_the_systems(admin: str) -> None:
    await adopt_databases(admin, [Owner("users", "one")], Limits(), SHOP)
    await run(admin, "DROP DATABASE users")
    again = await adopt_databases(admin, [Owner("users", "two")], Limits(), SHOP)
    assert await value(again["users"], "SELECT current_user") == "users"


async def test_a_role_without_a_mark_is_its_systems_who_knows_the_password(home: Home, server: Server) -> None:
    # Given databases that an earlier version made, which marked nothing
    admin = superuser_dsn(home, server)
    await create_databases(admin, [Owner("users", "kept")], Limits())
    # Then nobody takes them who does not know their password
    await refused(admin, Owner("users", "new"), STAGING)
    assert await value(service_dsn(server, Owner("users", "kept")), "SELECT 1") == 1
    # And they are marked for who does
    await adopt_databases(admin, [Owner("users", "kept")], Limits(), SHOP)
    await refused(admin, Owner("users", "kept"), STAGING)


@pytest.mark.parametrize(
    "made",
    [
        ("CREATE ROLE users LOGIN PASSWORD 'theirs'", "CREATE DATABASE users OWNER users"),
        ("CREATE DATABASE users",),
    ],
)
async def test_what_somebody_made_by_hand_is_taken_once_it_is_given_up(
    home: Home, server: Server, made: tuple[str, ...]
) -> None:
    admin = superuser_dsn(home, server)
    await run(admin, *made)
    given_up = await refused(admin, Owner("users", "new"), SHOP)
    await run(admin, *given_up.rstrip(";").split("; "))
    adopted = await adopt_databases(admin, [Owner("users", "new")], Limits(), SHOP)
    await run(adopted["users"], "CREATE SCHEMA atoll")
