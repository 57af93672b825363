"""Figures of engines: asked of real ones, told to Prometheus, and honest when an engine is gone."""

import asyncio
import contextlib
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from atoll.engines.postgres import Limits, Owner, redirected
from atoll.model.figures import FiguresOf
from atoll.model.references import Literal
from atoll.provision.databases import create_databases, let_watch
from atoll.provision.figures import PostgresFigures, nats_read
from atoll.wire.exposition import page as exposition
from tests.ports import free_port
from tests.runtime.servers import NatsServer, PostgresServer, engine_folder


def value(page: str, series: str) -> float:
    (line,) = [line for line in page.splitlines() if line.startswith(f"{series} ")]
    return float(line.rpartition(" ")[2])


async def fetch(port: int, path: str = "/metrics") -> str:
    def ask() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            return str(answer.read().decode())

    return await asyncio.to_thread(ask)


async def first_page(port: int) -> str:
    """As soon as it answers."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(urllib.error.URLError):
                return await fetch(port)
            await asyncio.sleep(0.05)


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(engine_folder(tmp_path_factory.mktemp("figures"), "figures-nats"))
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder)


async def test_a_process_of_its_own_tells_of_both_engines_and_of_their_end(
    tmp_path: Path, postgres_server: PostgresServer, broker: NatsServer
) -> None:
    # Given a role that may look at everything, and into nothing
    watcher = Owner("watcher", "secret")
    await create_databases(postgres_server.admin_dsn(), [watcher], Limits())
    await let_watch(postgres_server.admin_dsn(), ["watcher"])
    port = free_port()
    document = FiguresOf(
        listen=f"127.0.0.1:{port}",
        postgres=Literal(redirected(postgres_server.admin_dsn(), "watcher", watcher)),
        nats=f"127.0.0.1:{broker.monitor_port}",
    )
    (tmp_path / "figures.json").write_bytes(msgspec.json.encode(document))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "atoll.runtime", "figures", str(tmp_path / "figures.json")
    )
    try:
        page = await first_page(port)
        # Then its page has the figures of both
        assert (value(page, "postgresql_up"), value(page, "nats_up")) == (1, 1)
        assert value(page, 'postgresql_db_size_bytes{db_namespace="postgres"}') > 1_000_000
        assert value(page, "postgresql_connection_max") == 100
        assert value(page, 'postgresql_connections{db_namespace="watcher",state="active"}') == 1
        assert value(page, "nats_jetstream_storage_bytes") == 0
        assert "alive" in await fetch(port, "/health/live")
        with pytest.raises(urllib.error.HTTPError):
            await fetch(port, "/elsewhere")
        # When the broker ends, that is what it says
        broker.kill()
        page = await fetch(port)
        assert (value(page, "postgresql_up"), value(page, "nats_up")) == (1, 0)
        process.terminate()
        assert await process.wait() == 143
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_server_that_is_not_there_is_down_and_not_an_error() -> None:
    figures = PostgresFigures(f"postgresql://a:b@127.0.0.1:{free_port()}/a")
    assert [(each.name, each.value) for each in await figures.read()] == [("postgresql_up", 0.0)]
    figures.close()


async def test_the_broker_tells_how_much_of_what_a_stream_keeps_a_consumer_has_not_had(broker: NatsServer) -> None:
    client = await nats.connect(broker.url, user="admin", password=broker.password)
    streams = client.jetstream()
    await streams.add_stream(StreamConfig("shop-placed", subjects=["placed"], max_bytes=100_000, max_age=86_400))
    for name in ("stock-note", "email-send"):
        config = ConsumerConfig(durable_name=name, ack_policy=AckPolicy.EXPLICIT)
        await streams.add_consumer("shop-placed", config)
    for _ in range(60):
        await streams.publish("placed", bytes(1_000))
    # One had everything
    reading = await streams.pull_subscribe_bind("email-send", stream="shop-placed")
    for message in await reading.fetch(60):
        await message.ack_sync()
    await client.close()
    read = exposition(await nats_read("127.0.0.1", broker.monitor_port))
    kept = value(read, 'nats_stream_bytes{stream="shop-placed"}')
    assert kept > 60_000
    assert value(read, 'nats_stream_max_bytes{stream="shop-placed"}') == 100_000
    shares = [
        value(read, f'nats_consumer_backlog_ratio{{consumer="{name}",stream="shop-placed"}}')
        for name in ("stock-note", "email-send")
    ]
    assert shares == [pytest.approx(kept / 100_000), 0.0]
