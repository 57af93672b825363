import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from atoll.engines import nats as broker_of
from atoll.engines import versions
from atoll.engines.nats import Account, Broker, Consumer
from atoll.provision.programs import find_program
from atoll.supervisor.home import Home
from atoll.supervisor.install import write
from atoll.supervisor.process import Process
from tests.engines.running import running
from tests.ports import free_port
from tests.waiting import eventually

PLACED, SETTLED = "evt.shop.order-placed", "evt.shop.payment-settled"
CHECKOUT = Account("checkout", "one", publishes=(PLACED,))
EMAIL = Account(
    "email",
    "two",
    publishes=("dead.shop.order-placed.email-send",),
    consumes=(Consumer("shop-order-placed", "email-send"),),
)


@pytest.fixture
def broker() -> Broker:
    return Broker(free_port(), free_port(), "admin-password", (EMAIL, CHECKOUT))


@pytest.fixture
async def server(home: Home, broker: Broker) -> AsyncIterator[Process]:
    engine = broker_of.engine(find_program(versions.NATS), broker, home.state / "nats")
    async with running(engine, home.logs / "nats.log") as process:
        async with connected(broker, "admin", "admin-password") as (admin, _):
            streams = admin.jetstream()
            await streams.add_stream(StreamConfig("shop-order-placed", subjects=[PLACED]))
            await streams.add_stream(StreamConfig("shop-payment-settled", subjects=[SETTLED]))
            for name in ("email-send", "ads-count"):
                await streams.add_consumer(
                    "shop-order-placed", ConsumerConfig(durable_name=name, ack_policy=AckPolicy.EXPLICIT)
                )
        yield process


@asynccontextmanager
async def connected(broker: Broker, user: str, password: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client as a service makes it, with the errors the server tells it."""
    errors: list[str] = []

    async def heard(error: Exception) -> None:
        errors.append(str(error))

    client = await nats.connect(
        broker_of.url(broker.host, broker.port),
        user=user,
        password=password,
        inbox_prefix=f"_INBOX_{user}".encode(),
        error_cb=heard,
        allow_reconnect=False,
    )
    try:
        yield client, errors
    finally:
        await client.close()


def test_the_configuration_holds_passwords_so_only_its_owner_reads_it(tmp_path: Path, broker: Broker) -> None:
    file = broker_of.configuration(broker, tmp_path)
    write(file)
    assert "admin-password" in file.content
    assert stat.S_IMODE((tmp_path / "nats.conf").stat().st_mode) == 0o600
    assert "two" not in repr(EMAIL)
    assert "admin-password" not in repr(broker)


def test_the_same_broker_is_written_with_the_same_bytes_whatever_the_order_of_services(tmp_path: Path) -> None:
    there = Broker(4222, 8222, "pw", (EMAIL, CHECKOUT))
    back = Broker(4222, 8222, "pw", (CHECKOUT, EMAIL))
    assert broker_of.configuration(there, tmp_path) == broker_of.configuration(back, tmp_path)


def test_what_is_acknowledged_is_synced_every_second_and_the_store_has_its_place_and_bounds(tmp_path: Path) -> None:
    settings = json.loads(broker_of.configuration(Broker(4222, 8222, "pw"), tmp_path).content)
    assert settings["jetstream"] == {
        "store_dir": str(tmp_path / "store"),
        "sync_interval": "1s",
        "max_memory_store": 64 * 2**20,
        "max_file_store": 2**40,
    }
    assert settings["http"] == "127.0.0.1:8222"


async def test_a_service_publishes_its_own_topic(broker: Broker, server: Process) -> None:
    async with connected(broker, "checkout", "one") as (client, errors):
        stored = await client.jetstream().publish(PLACED, b"1", headers={"Nats-Msg-Id": "1"})
        again = await client.jetstream().publish(PLACED, b"1", headers={"Nats-Msg-Id": "1"})
    assert (stored.seq, again.duplicate, errors) == (1, True, [])


async def test_a_service_can_not_publish_anothers_topic(broker: Broker, server: Process) -> None:
    async with connected(broker, "checkout", "one") as (client, errors):
        with pytest.raises(NatsTimeoutError):
            await client.jetstream(timeout=0.5).publish(SETTLED, b"1")
        await client.publish("$JS.API.STREAM.DELETE.shop-order-placed", b"")
        await client.flush()
        await eventually(lambda: len(errors) == 2)
    assert SETTLED in errors[0]
    assert "permissions violation" in errors[1]
    async with connected(broker, "admin", "admin-password") as (admin, _):
        assert (await admin.jetstream().stream_info("shop-payment-settled")).state.messages == 0
        assert (await admin.jetstream().stream_info("shop-order-placed")).state.messages == 0


async def test_a_service_reads_its_own_consumer_and_buries_what_it_can_not_handle(
    broker: Broker, server: Process
) -> None:
    async with connected(broker, "checkout", "one") as (client, _):
        await client.jetstream().publish(PLACED, b"order")
    async with connected(broker, "email", "two") as (client, errors):
        subscription = await client.jetstream().pull_subscribe_bind("email-send", stream="shop-order-placed")
        (message,) = await subscription.fetch(1, timeout=5)
        await client.publish("dead.shop.order-placed.email-send", message.data)
        await message.ack_sync(timeout=5)
        left = await subscription.consumer_info()
    assert message.data == b"order"
    assert (left.num_pending, left.num_ack_pending, errors) == (0, 0, [])


async def test_a_service_can_not_read_anothers_consumer_nor_listen_to_subjects(broker: Broker, server: Process) -> None:
    async with connected(broker, "checkout", "one") as (client, _):
        await client.jetstream().publish(PLACED, b"order")
    async with connected(broker, "email", "two") as (client, errors):
        foreign = await client.jetstream().pull_subscribe_bind("ads-count", stream="shop-order-placed")
        with pytest.raises(NatsTimeoutError):
            await foreign.fetch(1, timeout=0.5)
        for subject in (PLACED, ">", "_INBOX_checkout.>", "_INBOX.>", "$JS.API.>"):
            await client.subscribe(subject)
            await client.flush()
        await eventually(lambda: len(errors) == 6)
    assert all("permissions violation" in error for error in errors)


@pytest.mark.parametrize(("user", "password"), [("email", "wrong"), ("nobody", "two"), ("admin", "")])
async def test_nobody_enters_without_the_password(broker: Broker, server: Process, user: str, password: str) -> None:
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        async with connected(broker, user, password):
            pass


async def test_a_new_service_is_let_in_without_disconnecting_the_others(
    home: Home, broker: Broker, server: Process
) -> None:
    async with connected(broker, "checkout", "one") as (client, errors):
        ads = Account("ads", "three")
        more = Broker(broker.port, broker.monitor_port, broker.admin_password, (CHECKOUT, EMAIL, ads))
        write(broker_of.configuration(more, home.state / "nats"))
        log = home.logs / "nats.log"
        server.signal("SIGHUP")
        await eventually(lambda: "Reloaded server configuration" in log.read_text())
        async with connected(broker, "ads", "three"):
            pass
        await client.jetstream().publish(PLACED, b"1")
        assert (client.is_connected, errors) == (True, [])


async def test_what_was_stored_is_there_after_a_stop_and_after_a_kill(home: Home, broker: Broker) -> None:
    engine = broker_of.engine(find_program(versions.NATS), broker, home.state / "nats")
    async with running(engine, home.logs / "nats.log"), connected(broker, "admin", "admin-password") as (admin, _):
        await admin.jetstream().add_stream(StreamConfig("shop-order-placed", subjects=[PLACED]))
        await admin.jetstream().publish(PLACED, b"1")
    async with running(engine, home.logs / "nats.log") as process:
        async with connected(broker, "admin", "admin-password") as (admin, _):
            await admin.jetstream().publish(PLACED, b"2")
        await process.kill()
    async with running(engine, home.logs / "nats.log"), connected(broker, "admin", "admin-password") as (admin, _):
        assert (await admin.jetstream().stream_info("shop-order-placed")).state.messages == 2
