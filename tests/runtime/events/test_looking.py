"""The dashboard's look at the events of a cluster, as a user of the broker who may do nothing else."""

import asyncio
import shutil

import pytest

from atoll.cli.events import _tail
from atoll.dashboard.broker import Broker, Seen
from atoll.engines.declared import looking_account
from atoll.runtime.events.broker import Connection, Denied, Lost
from atoll.runtime.events.inspect import admin_connection
from atoll.supervisor.administrator import Login
from atoll.wire import subjects
from atoll.wire.cloudevents import DEDUPE
from atoll.wire.description import Description, TopicData
from tests.runtime.events.parts import Orders, Placed, Running, publish
from tests.runtime.servers import NatsServer, engine_folder
from tests.waiting import eventually


async def test_it_sees_topics_and_events_and_sends_dead_letters_again_and_may_do_no_more(
    dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Given a service that gave an event up
    folder = engine_folder(tmp_path_factory.mktemp("looking"), "looking")
    topics = (TopicData("order-placed", "order", "orders", {}),)
    description = Description(name="shop", folder="", import_path=(), topics=topics)
    server = NatsServer(folder, (looking_account(description, "collector", "its-own"),))
    server.start()
    running = Running(dsn, server, password=server.password, system="shop")
    look = Broker("shop", lambda: Login(server.url, "collector", "its-own"))
    try:
        source = running.source("note", attempts=1)
        await running.prepare(source)
        broker = await running.broker()
        database = await running.database(await running.leader("a", broker=broker))
        failing = [True]

        def fail(_: Placed) -> None:
            if failing[0]:
                raise RuntimeError("no ink")

        orders = Orders(database, fail)
        await running.consumer(orders, source, database=database, broker=broker)
        seen: list[Seen] = []
        begun = asyncio.Event()
        following = asyncio.create_task(_follow(look, seen, begun))
        await begun.wait()
        await publish(database, Placed("a", 1))
        await eventually(lambda: len(orders.seen) == 1)
        # Then it is told of it,
        await eventually(lambda: [each.key for each in seen] == ["a"])
        await eventually(lambda: _has_letters(look))
        (topic,), (letter,) = await look.look()
        assert (topic.topic, topic.messages, [each.dead for each in topic.consumers]) == ("order-placed", 1, [1])
        assert letter.reason.endswith("no ink")
        # sends it again,
        failing.clear()
        failing.append(False)
        assert await look.redrive(frozenset({letter.sequence})) == 1
        await eventually(lambda: len(orders.seen) == 2)
        assert (await look.look())[1] == []
        following.cancel()
        # and can neither publish an event of its own nor take a stream away.
        async with admin_connection(server.url, "collector", "its-own") as connection:
            for subject in ("evt.shop.order-placed", "$JS.API.STREAM.DELETE.shop-order-placed"):
                with pytest.raises(Denied):
                    await (await connection.publish(subject, b"{}", {DEDUPE: "x"}))
    finally:
        await running.end()
        server.stop()
        shutil.rmtree(folder)


async def _follow(look: Broker, seen: list[Seen], begun: asyncio.Event) -> None:
    async for event in look.follow():
        begun.set()
        if event:
            seen.append(event)


async def _has_letters(look: Broker) -> bool:
    return bool((await look.look())[1])


async def test_who_follows_events_is_told_that_the_broker_went_away(nats_server: NatsServer) -> None:
    connection = Connection(subjects.inbox("admin"))
    await connection.open(nats_server.url, "admin", nats_server.password, "test")
    following = asyncio.create_task(_tail(connection, "shop", ["order-placed"], as_json=True))
    # Of the answers, and of the topic.
    await eventually(lambda: len(connection._client._subs) == 2)
    await connection.flush()
    nats_server.kill()
    try:
        with pytest.raises(Lost):
            await asyncio.wait_for(following, 10.0)
    finally:
        nats_server.start()
        await connection.close()
