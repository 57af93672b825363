"""What must be there before services start."""

import asyncio
import secrets
import shutil
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

from atoll.engines.nats import Limits
from atoll.model.launch import ConsumerOf, Preparation, StreamOf
from atoll.model.references import Literal
from atoll.runtime.events.inspect import admin_connection, overview
from atoll.runtime.events.streams import YOUNG, begins
from atoll.runtime.prepare import prepare
from atoll.wire import subjects
from tests.runtime.events.parts import value_of
from tests.runtime.servers import NatsServer, engine_folder
from tests.waiting import eventually


def preparation(dsn: str, server: NatsServer, system: str, service: str, **more: object) -> Preparation:
    consumer = ConsumerOf(
        "order-placed", "send", subjects.stream(system, "order-placed"), subjects.durable(service, "send")
    )
    values = {
        "system": system,
        "service": service,
        "dsn": Literal(dsn),
        "url": server.url,
        "user": "admin",
        "password": Literal(server.password),
        "streams": (StreamOf("order-placed"),),
        "consumes": (consumer,),
        **more,
    }
    return Preparation(**values)  # type: ignore[arg-type]


@pytest.fixture
def system() -> str:
    return f"p{secrets.token_hex(4)}"


async def test_tables_migrations_streams_and_consumers_are_made(
    dsn: str, nats_server: NatsServer, system: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_start.sql").write_text("CREATE TABLE orders (id text PRIMARY KEY);")
    wanted = preparation(dsn, nats_server, system, "email", migrations=str(tmp_path))
    assert await prepare([wanted], value_of) == []
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT schemaname || '.' || tablename AS name FROM pg_tables ORDER BY 1")
    await connection.close()
    names = {row["name"] for row in rows}
    assert {"atoll.inbox", "atoll.migrations", "atoll.outbox", "atoll.schedules", "public.orders"} <= names
    async with admin_connection(nats_server.url, "admin", nats_server.password) as admin:
        (topic,) = await overview(admin, system)
        assert (topic.topic, [each.name for each in topic.consumers]) == ("order-placed", ["email-send"])
        config = msgspec.json.decode(await admin.request(f"$JS.API.STREAM.INFO.{system}-order-placed"))["config"]
    day = 86_400 * 10**9
    assert (config["max_age"], config["max_bytes"], config["discard"]) == (7 * day, 134_217_728, "old")
    assert config["duplicate_window"] == 120 * 10**9


async def test_preparing_again_changes_nothing_and_keeps_what_is_there(
    dsn: str, nats_server: NatsServer, system: str
) -> None:
    wanted = preparation(dsn, nats_server, system, "email")
    await prepare([wanted], value_of)
    async with admin_connection(nats_server.url, "admin", nats_server.password) as admin:
        await (await admin.publish(subjects.subject(system, "order-placed"), b"{}", {}))

        async def is_waiting() -> bool:
            return (await overview(admin, system))[0].consumers[0].waiting == 1

        await eventually(is_waiting, "the broker counts it")
        before = await overview(admin, system)
        assert await prepare([wanted], value_of) == []
        assert await overview(admin, system) == before


async def test_a_changed_setting_is_applied(dsn: str, nats_server: NatsServer, system: str) -> None:
    await prepare([preparation(dsn, nats_server, system, "email")], value_of)
    streams = (StreamOf("order-placed", seconds=86_400.0, most_bytes=200_000_000),)
    larger = preparation(dsn, nats_server, system, "email", streams=streams)
    slower = msgspec.structs.replace(larger, consumes=(msgspec.structs.replace(larger.consumes[0], ack_wait=20.0),))
    assert await prepare([slower], value_of) == []
    async with admin_connection(nats_server.url, "admin", nats_server.password) as admin:
        stream = msgspec.json.decode(await admin.request(f"$JS.API.STREAM.INFO.{system}-order-placed"))["config"]
        request = f"$JS.API.CONSUMER.INFO.{system}-order-placed.email-send"
        consumer = msgspec.json.decode(await admin.request(request))["config"]
    assert (stream["max_bytes"], stream["max_age"]) == (200_000_000, 86_400 * 10**9)
    assert (consumer["ack_wait"], consumer["deliver_policy"]) == (20 * 10**9, "all")


async def test_a_system_has_as_many_topics_as_it_declares(nats_server: NatsServer, system: str) -> None:
    streams = tuple(StreamOf(f"topic-{number}") for number in range(100))
    wanted = Preparation(
        system=system,
        service="all",
        url=nats_server.url,
        user="admin",
        password=Literal(nats_server.password),
        streams=streams,
    )
    assert await prepare([wanted], value_of) == []
    async with admin_connection(nats_server.url, "admin", nats_server.password) as admin:
        assert [each.topic for each in await overview(admin, system)] == sorted(each.topic for each in streams)
        for each in streams:
            await admin.request(f"$JS.API.STREAM.DELETE.{subjects.stream(system, each.topic)}")


async def test_a_broker_without_room_says_which_streams_have_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    # Given a broker with room for two streams, one of which is of a topic that nobody declares any more
    folder = engine_folder(tmp_path_factory.mktemp("full"), "full-nats")
    server = NatsServer(folder, limits=Limits(store=300 * 2**20))
    server.start()
    try:
        former, wanted = (
            Preparation(
                system="shop",
                service="all",
                url=server.url,
                user="admin",
                password=Literal(server.password),
                streams=tuple(map(StreamOf, names)),
            )
            for names in (("former", "placed"), ("placed", "paid"))
        )
        assert await prepare([former], value_of) == []
        (problem,) = await prepare([wanted], value_of)
        assert (
            "the stream shop-paid can't be made: insufficient storage resources available; "
            "256 MiB are promised to 2 streams: shop-former, shop-placed"
        ) in problem.sentence
        # When that stream is deleted, there is room
        async with admin_connection(server.url, "admin", server.password) as admin:
            await admin.request("$JS.API.STREAM.DELETE.shop-former")
        assert await prepare([wanted], value_of) == []
    finally:
        server.stop()
        shutil.rmtree(folder)


def test_a_new_consumer_begins_with_a_young_stream_or_with_what_comes_from_now_on() -> None:
    assert begins(timedelta()) == begins(YOUNG - timedelta(seconds=1)) == "all"
    assert begins(YOUNG) == begins(timedelta(days=6)) == "new"


async def test_services_that_share_topics_are_prepared_beside_each_other_and_twice_at_once(
    dsn: str, nats_server: NatsServer, system: str
) -> None:
    services = [preparation(dsn, nats_server, system, name) for name in ("email", "billing", "stock")]
    one, other = await asyncio.gather(prepare(services, value_of), prepare(services, value_of))
    assert one + other == []
    async with admin_connection(nats_server.url, "admin", nats_server.password) as admin:
        (topic,) = await overview(admin, system)
    assert [each.name for each in topic.consumers] == ["billing-send", "email-send", "stock-send"]


async def test_everything_that_is_wrong_is_told_at_once(
    dsn: str, nats_server: NatsServer, system: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_start.sql").write_text("CREATE TABEL orders (id text);")
    streams = (StreamOf("order-placed", most_bytes=2**50),)
    too_large = preparation(dsn, nats_server, system, "email", migrations=str(tmp_path), streams=streams)
    away = preparation(f"{dsn}x", nats_server, system, "billing", url="nats://127.0.0.1:1")
    problems = await prepare([too_large, away], value_of)
    told = [(problem.code, problem.sentence) for problem in problems]
    assert [code for code, _ in told] == ["ATL3202", "ATL4005", "ATL4005", "ATL4005", "ATL4005"]
    assert "0001_start.sql" in told[0][1]
    assert "billing could not be prepared: its database can't be reached" in told[1][1]
    assert f"the stream {system}-order-placed can't be made: insufficient storage resources" in told[2][1]
    assert "the consumer email-send can't be made" in told[3][1]
    assert "NATS at nats://127.0.0.1:1 can't be reached" in told[4][1]


async def test_a_migration_takes_as_long_as_it_takes(
    dsn: str, nats_server: NatsServer, system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atoll.runtime.prepare._TABLES_WITHIN", 2.0)
    (tmp_path / "0001_slow.sql").write_text("SELECT pg_sleep(2.2);")
    assert await prepare([preparation(dsn, nats_server, system, "email", migrations=str(tmp_path))], value_of) == []
