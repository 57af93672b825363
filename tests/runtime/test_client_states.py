"""Every question to a client, asked while the callee is well, down, slow, silent, cut off, and back again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from atoll import AtollError, ConnectionLost, DeadlineExceeded, Unreachable
from atoll.runtime.resilience.policy import Policy
from atoll.runtime.resilience.retry import RetryLimits
from tests.runtime.calling import Item, Items, calling, in_seconds, within
from tests.runtime.peer import Asked, Behaviour, Peer, Wire, answer, answering, cutting, hanging, in_turn
from tests.waiting import eventually

HAT = {"id": "hat", "price": 7}
QUICK = Policy(deadline=0.4, idle=0.4)
"""Soon enough to wait for, and long enough for an answer on a machine that does other things as well."""

Question = Callable[[Items], Awaitable[object]]


async def read_item(items: Items) -> object:
    return await items.item("hat")


async def add_item(items: Items) -> object:
    return await items.add(Item("hat"))


async def pay(items: Items) -> object:
    return await items.pay(Item("hat"))


async def follow(items: Items) -> object:
    return [item async for item in items.feed()][-1]


every_question = pytest.mark.parametrize("ask", [read_item, add_item, pay, follow])
repeatable = pytest.mark.parametrize("ask", [read_item, pay])


async def well(asked: Asked, wire: Wire) -> None:
    """Answers whatever was asked."""
    if asked.target != "/feed":
        await wire.send(answer(HAT))
        return
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b'data: {"id":"hat"', b',"price":7}\n\n'))
    await wire.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")


async def half(asked: Asked, wire: Wire) -> None:
    """The first half of an answer, then silence."""
    if asked.target == "/feed":
        await wire.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndata:\r\n")
    else:
        await wire.send(answer(HAT)[:-5])
    await wire.hang()


async def half_then_cut(asked: Asked, wire: Wire) -> None:
    await wire.send(answer(HAT)[:-5])
    wire.cut()


def slow(seconds: float) -> Behaviour:
    """The right answer in small pieces over some time."""

    async def behave(_: Asked, wire: Wire) -> None:
        whole = answer(HAT)
        for at in range(0, len(whole), 10):
            await wire.send(whole[at : at + 10])
            await asyncio.sleep(seconds * 10 / len(whole))

    return behave


@every_question
async def test_normal_the_answer_is_a_typed_value(ask: Question) -> None:
    async with Peer(well) as peer, calling(peer.address) as called:
        assert await ask(called.items) == Item("hat", 7)


@every_question
async def test_normal_over_a_unix_socket_it_is_the_same(
    ask: Question, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("s")
    async with Peer(well, str(folder / "s")) as peer, calling(peer.address) as called:
        assert await ask(called.items) == Item("hat", 7)


@every_question
async def test_down_nothing_was_sent_and_the_error_says_so(ask: Question) -> None:
    async with Peer(well) as peer, calling(peer.address) as called:
        await peer.stop()
        with pytest.raises(Unreachable, match="no connection to 127") as caught:
            await ask(called.items)
        assert not caught.value.may_have_happened
        assert called.metric("atoll_client_retries_total") == 2


@every_question
async def test_silence_the_call_ends_at_the_deadline_and_its_connection_is_closed(ask: Question) -> None:
    async with Peer(hanging) as peer, calling(peer.address, policy=QUICK) as called:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            await ask(called.items)
        assert QUICK.deadline <= time.monotonic() - started < 2.0  # by itself it would take three seconds
        assert caught.value.may_have_happened
        # The next call would otherwise read the answer that is still owed.
        await eventually(lambda: bool(peer.abandoned))
        assert len(peer.asked) == 1


@every_question
async def test_timeout_half_an_answer_is_none(ask: Question) -> None:
    async with Peer(half) as peer, calling(peer.address, policy=QUICK) as called:
        with pytest.raises(DeadlineExceeded) as caught:
            await ask(called.items)
        assert caught.value.may_have_happened
        assert len(peer.asked) == 1


async def test_timeout_the_callers_own_deadline_is_kept_when_it_is_the_shorter() -> None:
    async with Peer(hanging) as peer, calling(peer.address) as called:
        started = time.monotonic()
        async with within(in_seconds(0.5)):
            with pytest.raises(DeadlineExceeded):
                await called.items.item("hat")
        # It leaves some of the time to whoever has to tell of it; by itself it would take three seconds.
        assert 0.4 <= time.monotonic() - started < 2.0
        assert int(peer.asked[0].headers["x-envoy-expected-rq-timeout-ms"]) <= 500


async def test_timeout_a_call_after_the_deadline_sends_nothing() -> None:
    async with Peer(well) as peer, calling(peer.address) as called, within(in_seconds(-0.1)):
        with pytest.raises(DeadlineExceeded, match="no byte was"):
            await called.items.item("hat")
        assert peer.connections == 0


async def test_slow_an_answer_in_pieces_is_put_together() -> None:
    async with Peer(slow(0.1)) as peer, calling(peer.address) as called:
        assert await called.items.item("hat") == Item("hat", 7)
        assert await called.items.item("hat") == Item("hat", 7)
        assert peer.connections == 1


async def test_cut_what_may_not_be_repeated_is_not_and_nothing_may_be_concluded() -> None:
    async with Peer(cutting) as peer, calling(peer.address) as called:
        with pytest.raises(ConnectionLost) as caught:
            await called.items.add(Item("hat"))
        assert caught.value.may_have_happened
        assert len(peer.asked) == 1


@repeatable
async def test_cut_what_may_be_repeated_is_tried_three_times(ask: Question) -> None:
    async with Peer(cutting) as peer, calling(peer.address) as called:
        with pytest.raises(ConnectionLost):
            await ask(called.items)
        assert len(peer.asked) == 3


@repeatable
async def test_cut_once_the_second_attempt_brings_the_answer(ask: Question) -> None:
    async with Peer(in_turn(half_then_cut, well)) as peer, calling(peer.address) as called:
        assert await ask(called.items) == Item("hat", 7)
        assert len(peer.asked) == 2


async def test_cut_in_the_middle_of_a_stream_the_elements_before_are_kept() -> None:
    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\ndata: {"id":"hat"}\n\n\r\n')
        wire.cut()

    async with Peer(behave) as peer, calling(peer.address) as called:
        feed = aiter(called.items.feed())
        assert await anext(feed) == Item("hat")
        with pytest.raises(ConnectionLost, match="before the stream did"):
            await anext(feed)
        assert len(peer.asked) == 1


@every_question
async def test_recovered_after_each_of_them_the_next_call_is_as_before(ask: Question) -> None:
    async with Peer(well) as peer, calling(peer.address, policy=QUICK) as called:
        assert await ask(called.items) == Item("hat", 7)
        for trouble in (hanging, half, cutting):
            peer.behaviour = trouble
            with pytest.raises((DeadlineExceeded, ConnectionLost)):
                await ask(called.items)
            peer.behaviour = well
            assert await ask(called.items) == Item("hat", 7)
        await peer.stop()
        with pytest.raises(AtollError):
            await ask(called.items)
        await peer.start()
        assert await ask(called.items) == Item("hat", 7)


@every_question
async def test_cancelled_the_connection_is_closed_and_the_error_is_the_callers_own(ask: Question) -> None:
    async with Peer(hanging) as peer, calling(peer.address) as called:
        task = asyncio.ensure_future(ask(called.items))
        await eventually(lambda: bool(peer.asked))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: bool(peer.abandoned))


async def test_the_place_in_the_bulkhead_is_free_again_whatever_became_of_the_call() -> None:
    policy = replace(QUICK, concurrency=1, retry=RetryLimits(more=0))
    async with Peer(well) as peer, calling(peer.address, policy=policy) as called:
        for behaviour in (well, hanging, cutting, half, answering(status=500)):
            peer.behaviour = behaviour
            for ask in (read_item, follow):
                result = (await asyncio.gather(ask(called.items), return_exceptions=True))[0]
                assert "are under way" not in str(result)
        peer.behaviour = well
        assert await called.items.item("hat") == Item("hat", 7)
