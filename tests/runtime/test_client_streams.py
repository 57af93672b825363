"""Calls that are answered by a stream of server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import cast

import pytest

from atoll import BadAnswer, CircuitOpen, ConnectionLost, DeadlineExceeded, Refused, ServerFailed
from atoll.runtime.resilience.policy import Policy
from atoll.wire.faults import FaultCodec, problem
from tests.runtime.calling import Called, Item, UnknownItem, calling, in_seconds, within
from tests.runtime.peer import Asked, Behaviour, Peer, Wire, answering, cutting, in_turn
from tests.waiting import eventually

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(item: str) -> bytes:
    return chunk(b'data: {"id":"%b"}\n\n' % item.encode())


def sending(*pieces: bytes) -> Behaviour:
    """The head, these pieces, the end."""

    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(HEAD + b"".join(pieces) + END)

    return behave


async def sending_half(_: Asked, wire: Wire) -> None:
    """Half a piece, and the end of the connection."""
    await wire.send(b"5\r\ndat")
    wire.writer.close()


async def test_each_element_is_there_as_soon_as_it_was_sent() -> None:
    more = asyncio.Event()

    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(HEAD)
        for item in ("a", "b", "c"):
            await wire.send(event(item))
            await more.wait()
            more.clear()
        await wire.send(END)

    async with Peer(behave) as peer, calling(peer.address) as called:
        seen = []
        async for item in called.items.feed():
            seen.append(item.id)
            more.set()
        assert seen == ["a", "b", "c"]
        assert peer.asked[0].headers["accept"] == "text/event-stream"


async def test_nothing_is_asked_before_the_first_element_is_wanted() -> None:
    async with Peer(sending()) as peer, calling(peer.address) as called:
        feed = called.items.feed()
        assert peer.connections == 0
        assert [item async for item in feed] == []


async def test_comments_keep_a_stream_alive_that_has_nothing_to_say() -> None:
    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(HEAD)
        for _comment in range(6):
            await asyncio.sleep(0.2)
            await wire.send(chunk(b":\n\n"))
        await wire.send(event("a") + END)

    async with Peer(behave) as peer, calling(peer.address, policy=Policy(idle=1)) as called:
        assert [item.id async for item in called.items.feed()] == ["a"]


async def test_a_stream_may_last_longer_than_the_callers_deadline() -> None:
    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(HEAD + event("a"))
        await asyncio.sleep(1)
        await wire.send(event("b") + END)

    async with Peer(behave) as peer, calling(peer.address) as called, within(in_seconds(0.7)):
        assert [item.id async for item in called.items.feed()] == ["a", "b"]


async def test_a_silent_stream_is_given_up() -> None:
    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(HEAD + event("a"))
        await wire.hang()

    async with Peer(behave) as peer, calling(peer.address, policy=Policy(idle=0.1)) as called:
        with pytest.raises(DeadlineExceeded, match=r"nothing came for 0\.1 s"):
            assert [item.id async for item in called.items.feed()] == []
        await eventually(lambda: bool(peer.abandoned))


@pytest.mark.parametrize("ending", [cutting, sending_half], ids=["cut", "closed"])
async def test_a_stream_that_ended_while_nobody_waited_for_it_ends_at_once(ending: Behaviour) -> None:
    proceed = asyncio.Event()

    async def behave(asked: Asked, wire: Wire) -> None:
        await wire.send(HEAD + event("a"))
        await proceed.wait()
        await ending(asked, wire)

    async with Peer(behave) as peer, calling(peer.address) as called:
        # Given a reader that is busy with an element
        feed = cast(AsyncGenerator[Item], called.items.feed())
        assert (await anext(feed)).id == "a"
        # When the connection ends meanwhile
        proceed.set()
        await eventually(lambda: peer.open == 0)
        for _ in range(10):
            await asyncio.sleep(0)  # it is the client that has to see it
        # Then the reader is told when it asks for the next, not after the silence that a stream may have
        with pytest.raises(ConnectionLost):
            async with asyncio.timeout(5):
                await anext(feed)


async def test_closing_the_iterator_closes_the_connection() -> None:
    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(HEAD + event("a"))
        await wire.hang()

    async with Peer(behave) as peer, calling(peer.address) as called:
        feed = cast(AsyncGenerator[Item, None], called.items.feed())
        assert (await anext(feed)).id == "a"
        await feed.aclose()
        await eventually(lambda: bool(peer.abandoned))


async def test_a_fault_instead_of_a_stream_is_raised() -> None:
    body = FaultCodec(UnknownItem).encode(UnknownItem(item_id="x"))
    head = b"HTTP/1.1 404 Not Found\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(head + body[:10])
        await wire.send(body[10:])

    async with Peer(behave) as peer, calling(peer.address) as called:
        with pytest.raises(UnknownItem):
            await anext(aiter(called.items.feed()))


async def test_a_fault_in_the_middle_of_a_stream_is_raised_after_what_came_before() -> None:
    body = FaultCodec(UnknownItem).encode(UnknownItem(item_id="x"))
    trouble = chunk(b"event: problem\ndata: %b\n\n" % body)
    async with Peer(sending(event("a"), trouble)) as peer, calling(peer.address) as called:
        feed = aiter(called.items.feed())
        assert (await anext(feed)).id == "a"
        with pytest.raises(UnknownItem):
            await anext(feed)


async def test_any_other_problem_in_the_middle_is_a_failure_of_the_server() -> None:
    trouble = chunk(b"event: problem\ndata: %b\n\n" % problem(500, "internal", "Something went wrong here"))
    async with Peer(sending(trouble)) as peer, calling(peer.address) as called:
        with pytest.raises(ServerFailed, match="Something went wrong here"):
            await anext(aiter(called.items.feed()))


async def test_an_element_of_another_type_is_a_bad_answer() -> None:
    async with Peer(sending(chunk(b"data: 7\n\n"))) as peer, calling(peer.address) as called:
        with pytest.raises(BadAnswer):
            await anext(aiter(called.items.feed()))


async def test_an_event_without_end_is_a_bad_answer() -> None:
    async with Peer(sending(chunk(b"data: " + b"x" * 2_000_000))) as peer, calling(peer.address) as called:
        with pytest.raises(BadAnswer, match="larger than"):
            await anext(aiter(called.items.feed()))


async def test_a_stream_that_could_not_begin_is_tried_again() -> None:
    async with (
        Peer(in_turn(cutting, answering(status=503), sending(event("a")))) as peer,
        calling(peer.address) as called,
    ):
        assert [item.id async for item in called.items.feed()] == ["a"]
        assert len(peer.asked) == 3


async def test_a_caller_that_does_not_read_makes_the_callee_wait() -> None:
    sent = 0

    async def behave(_: Asked, wire: Wire) -> None:
        nonlocal sent
        await wire.send(HEAD)
        for _event in range(4_000):
            await wire.send(chunk(b'data: {"id":"%b"}\n\n' % (b"x" * 10_000)))
            sent += 10_000
        await wire.send(END)

    async with Peer(behave) as peer, calling(peer.address) as called:
        feed = cast(AsyncGenerator[Item, None], called.items.feed())
        await anext(feed)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        # What fits into the sockets' buffers and ours, out of 40 MB.
        assert sent < 20_000_000
        assert len([item async for item in feed]) == 3_999


async def test_a_stream_counts_in_the_bulkhead_as_long_as_it_is_open() -> None:
    async with (
        Peer(sending(event("a"), event("b"))) as peer,
        calling(peer.address, policy=Policy(concurrency=1)) as called,
    ):
        feed = cast(AsyncGenerator[Item, None], called.items.feed())
        await anext(feed)
        with pytest.raises(Refused, match="under way"):
            await anext(aiter(called.items.feed()))
        await feed.aclose()
        assert [item.id async for item in called.items.feed()] == ["a", "b"]


async def probing(called: Called) -> AsyncGenerator[Item, None]:
    """A stream that the breaker let through, once it lets any through."""
    while True:
        feed = cast(AsyncGenerator[Item, None], called.items.feed())
        with suppress(CircuitOpen):
            await anext(feed)
            return feed
        await asyncio.sleep(0.01)


async def test_a_long_stream_that_was_the_breakers_probe_lets_others_call() -> None:
    async def forever(_: Asked, wire: Wire) -> None:
        await wire.send(HEAD + event("a"))
        await wire.hang()

    async with Peer(answering(status=500)) as peer, calling(peer.address) as called:
        for _ in range(20):
            with pytest.raises(ServerFailed):
                await called.items.item("hat")
        with pytest.raises(CircuitOpen):
            await called.items.item("hat")
        peer.behaviour = forever
        feed = await probing(called)
        peer.behaviour = answering({"id": "hat"})
        assert await called.items.item("hat") == Item("hat")
        await feed.aclose()
