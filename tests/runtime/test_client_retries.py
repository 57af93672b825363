"""Second attempts, several replicas, and the breaker, on real connections."""

import asyncio
import contextlib
import logging
import time
from contextlib import AsyncExitStack

import pytest

from atoll import (
    AtollError,
    CallFailed,
    CircuitOpen,
    ConnectionLost,
    DeadlineExceeded,
    Refused,
    ServerFailed,
    Unreachable,
)
from atoll.runtime.resilience.breaker import BreakerLimits
from atoll.runtime.resilience.policy import Policy
from atoll.runtime.resilience.retry import RetryLimits
from atoll.wire.faults import problem
from tests.runtime.calling import Called, Item, calling, in_seconds, within
from tests.runtime.peer import Asked, Behaviour, Peer, Wire, answer, answering, cutting, hanging, in_turn
from tests.waiting import eventually

HAT = {"id": "hat", "price": 7}


async def test_a_busy_callee_is_asked_again_when_it_said() -> None:
    busy = answering(status=503, headers={"Retry-After": "1"})
    async with Peer(in_turn(busy, answering(HAT))) as peer, calling(peer.address) as called:
        started = time.monotonic()
        assert await called.items.item("hat") == Item("hat", 7)
        assert time.monotonic() - started >= 1.0


async def test_a_callee_that_is_busy_beyond_the_deadline_is_not_waited_for() -> None:
    async with Peer(answering(status=429, headers={"Retry-After": "60"})) as peer, calling(peer.address) as called:
        started = time.monotonic()
        with pytest.raises(Refused):
            await called.items.item("hat")
        assert time.monotonic() - started < 2.0  # of three that it has
        assert len(peer.asked) == 1


async def test_what_was_retried_below_is_not_retried_here() -> None:
    behaviour = answering(status=503, headers={"atoll-retried": "1"})
    async with Peer(behaviour) as peer, calling(peer.address) as called:
        with pytest.raises(ServerFailed):
            await called.items.item("hat")
        assert len(peer.asked) == 1


@pytest.mark.parametrize("status", [400, 404, 409, 500, 502, 504])
async def test_other_answers_are_not_retried(status: int) -> None:
    async with Peer(answering(status=status)) as peer, calling(peer.address) as called:
        with pytest.raises(AtollError):
            await called.items.item("hat")
        assert len(peer.asked) == 1


async def test_a_busy_callee_is_not_asked_again_for_what_may_not_be_repeated() -> None:
    async with Peer(answering(status=503)) as peer, calling(peer.address) as called:
        with pytest.raises(Refused):
            await called.items.add(Item("hat"))
        assert len(peer.asked) == 1


async def test_a_repeated_call_whose_first_attempt_still_runs_waits_for_its_answer() -> None:
    async def running(_: Asked, wire: Wire) -> None:
        await wire.send(answer(status=409, raw=problem(409, "key-refused", "It is still running")))

    async with Peer(in_turn(cutting, running, answering(HAT))) as peer, calling(peer.address) as called:
        assert await called.items.pay(Item("hat")) == Item("hat", 7)
        assert len({asked.headers["idempotency-key"] for asked in peer.asked}) == 1


async def test_connections_that_the_callee_closed_between_calls_cost_nothing() -> None:
    policy = Policy(retry=RetryLimits(start=0, share=0))
    async with Peer(answering(HAT)) as peer, calling(peer.address, policy=policy) as called:
        for _ in range(5):
            await called.items.item("hat")
            await called.items.add(Item("hat"))
            await peer.drop_connections()
            # The loop has not seen the end of the connections where it is not asked.
            assert await called.items.item("hat") == Item("hat", 7)
        assert called.metric("atoll_client_retries_total") == 0


async def test_a_connection_that_ends_as_the_request_arrives_is_replaced_once_where_that_does_no_harm() -> None:
    policy = Policy(retry=RetryLimits(start=0, share=0))
    async with Peer(in_turn(answering(HAT), cutting, answering(HAT), cutting)) as peer:
        async with calling(peer.address, policy=policy) as called:
            await called.items.item("hat")
            assert await called.items.item("hat") == Item("hat", 7)
            assert called.metric("atoll_client_retries_total") == 0
            # The new connection is cut as well, and that is no accident any more.
            with pytest.raises(ConnectionLost):
                await called.items.item("hat")
        assert len(peer.asked) == 5


async def test_a_connection_that_ends_as_the_request_arrives_leaves_it_open_whether_it_was_carried_out() -> None:
    async with Peer(in_turn(answering(HAT), cutting)) as peer, calling(peer.address) as called:
        await called.items.add(Item("hat"))
        with pytest.raises(ConnectionLost) as caught:
            await called.items.add(Item("hat"))
        assert caught.value.may_have_happened
        assert len(peer.asked) == 2


async def test_a_last_attempt_that_sent_nothing_does_not_hide_an_earlier_one_that_did() -> None:
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called:

        async def cut_and_stop(_: Asked, wire: Wire) -> None:
            wire.cut()
            asyncio.get_running_loop().call_soon(stopped.set)

        stopped = asyncio.Event()
        peer.behaviour = cut_and_stop
        call = asyncio.ensure_future(called.items.pay(Item("hat")))
        await stopped.wait()
        await peer.stop()
        with pytest.raises(ConnectionLost, match="cut off before its answer") as caught:
            await call
        assert caught.value.may_have_happened


async def test_in_a_storm_no_more_than_a_fifth_of_the_calls_is_retried() -> None:
    policy = Policy(retry=RetryLimits(first=0.001, longest=0.002))
    async with Peer(cutting) as peer, calling(peer.address, policy=policy) as called:
        calls, retried = 0, 0.0
        for _ in range(40):
            calls += 15
            results = await asyncio.gather(*(called.items.item("hat") for _ in range(15)), return_exceptions=True)
            assert all(isinstance(result, AtollError) for result in results)
            retried = called.metric("atoll_client_retries_total")
            assert retried <= 0.2 * calls + policy.retry.start
        assert retried >= policy.retry.start
        # And the breaker spares the callee nearly all of the rest.
        assert len(peer.asked) < calls / 4


async def test_with_two_replicas_one_killed_under_load_no_call_that_may_be_repeated_fails() -> None:
    async with (
        Peer(answering(HAT)) as one,
        Peer(answering(HAT)) as two,
        calling(one.address, two.address) as called,
    ):
        done = 0

        async def customer() -> None:
            nonlocal done
            for _ in range(150):
                assert await called.items.item("hat") == Item("hat", 7)
                done += 1

        customers = [asyncio.ensure_future(customer()) for _ in range(20)]
        await eventually(lambda: done >= 600)
        await one.stop()
        await asyncio.gather(*customers)
        assert done == 3_000
        assert min(len(one.asked), len(two.asked)) > 100
        assert called.metric("atoll_client_breaker") == 0


async def test_a_replica_that_is_back_is_asked_again() -> None:
    async with (
        Peer(answering(HAT)) as one,
        Peer(answering(HAT)) as two,
        calling(one.address, two.address) as called,
    ):
        await one.stop()
        for _ in range(20):
            await called.items.item("hat")
        await one.start()
        until = time.monotonic() + 10
        while not one.asked:
            assert time.monotonic() < until
            await called.items.item("hat")


async def test_a_call_that_may_not_be_repeated_goes_to_another_replica_if_nothing_was_sent() -> None:
    async with AsyncExitStack() as stack:
        dead = [await stack.enter_async_context(Peer(answering(HAT))) for _ in range(2)]
        alive = await stack.enter_async_context(Peer(answering(HAT)))
        for peer in dead:
            await peer.stop()
        called = await stack.enter_async_context(calling(*(peer.address for peer in (*dead, alive))))
        for _ in range(10):
            assert await called.items.add(Item("hat")) == Item("hat", 7)
        assert len(alive.asked) == 10


async def test_a_slow_replica_gets_fewer_calls() -> None:
    async def slow(_: Asked, wire: Wire) -> None:
        await asyncio.sleep(0.05)
        await wire.send(answer(HAT))

    async with Peer(slow) as one, Peer(answering(HAT)) as two, calling(one.address, two.address) as called:

        async def customer() -> None:
            for _ in range(20):
                await called.items.item("hat")

        await asyncio.gather(*(customer() for _ in range(10)))
        assert len(one.asked) < len(two.asked) / 2


async def test_without_any_address_nothing_is_sent() -> None:
    async with calling() as called:
        with pytest.raises(Unreachable, match="no address"):
            await called.items.item("hat")


async def test_a_name_that_nobody_knows_is_unreachable_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "atoll.client"):
        async with calling("http://nobody.invalid:80") as called:
            with pytest.raises(Unreachable, match="no address"):
                await called.items.item("hat")
    assert "no address is known for nobody.invalid" in caplog.text


async def fail(called: Called, times: int) -> None:
    for _ in range(times):
        with pytest.raises(AtollError):
            await called.items.item("hat")


async def test_the_breaker_opens_says_so_and_closes_when_the_callee_is_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "atoll.client"):
        async with Peer(answering(status=500)) as peer, calling(peer.address) as called:
            await fail(called, 20)
            assert called.metric("atoll_client_breaker") == 2
            with pytest.raises(CircuitOpen, match="tries items again"):
                await called.items.item("hat")
            assert len(peer.asked) == 20
            peer.behaviour = answering(HAT)
            until = time.monotonic() + 5
            while called.metric("atoll_client_breaker") == 2:
                assert time.monotonic() < until
                try:
                    await called.items.item("hat")
                except CircuitOpen:
                    await asyncio.sleep(0.02)
            assert called.metric("atoll_client_breaker") == 0
            assert await called.items.item("hat") == Item("hat", 7)
    assert [(record.__dict__["state"], record.levelname) for record in caplog.records] == [
        ("open", "WARNING"),
        ("closed", "WARNING"),
    ]
    assert "items is open: 20 of its last 20 calls failed" in caplog.text


async def test_faults_and_refusals_of_the_caller_do_not_open_the_breaker() -> None:
    async with Peer(answering(status=404)) as peer, calling(peer.address) as called:
        await fail(called, 40)
        assert called.metric("atoll_client_breaker") == 0
        assert len(peer.asked) == 40


@pytest.mark.parametrize(("status", "kind"), [(502, "dependency-failed"), (504, "dependency-late")])
async def test_a_callee_that_tells_of_a_failure_below_it_is_well(status: int, kind: str) -> None:
    told = answer(status=status, raw=problem(status, kind, "A service that this one needs failed"))

    async def telling(_: Asked, wire: Wire) -> None:
        await wire.send(told)

    async with Peer(telling) as peer, calling(peer.address) as called:
        await fail(called, 40)
        assert called.metric("atoll_client_breaker") == 0
        assert len(peer.asked) == 40
        with pytest.raises(CallFailed) as caught:
            await called.items.item("hat")
        assert caught.value.below


async def test_a_callee_that_is_too_slow_for_its_caller_opens_the_breaker_though_the_caller_is_given_up_on() -> None:
    """As in a middle tier: whoever waits above has little more time than the call, and then goes."""
    async with Peer(hanging) as peer, calling(peer.address) as called:

        async def handler() -> None:
            async with within(in_seconds(1.0)):
                await called.items.item("hat")

        answers = await asyncio.gather(
            *(asyncio.wait_for(handler(), timeout=1.01) for _ in range(20)), return_exceptions=True
        )
        assert {type(each) for each in answers} <= {DeadlineExceeded, TimeoutError}
        assert called.metric("atoll_client_breaker") == 2
        with pytest.raises(CircuitOpen):
            await called.items.item("hat")


async def test_of_a_call_that_is_cut_off_after_its_deadline_the_callee_is_to_blame() -> None:
    """The loop was too busy to look at deadlines before the caller's own patience ended."""
    async with Peer(hanging) as peer, calling(peer.address) as called:

        async def handler() -> None:
            async with within(in_seconds(1.0)):
                await called.items.item("hat")

        calls = [asyncio.ensure_future(handler()) for _ in range(20)]
        await eventually(lambda: len(peer.asked) == 20)
        time.sleep(1.0)  # noqa: ASYNC251  that is the test
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert called.metric("atoll_client_breaker") == 2


@pytest.mark.parametrize(
    "trouble",
    [None, answering(status=500), answering(status=503, headers={"Retry-After": "1"})],
    ids=["nobody listens", "500", "503"],
)
async def test_however_long_a_callee_refuses_it_is_called_soon_after_its_return(trouble: Behaviour | None) -> None:
    policy = Policy(deadline=0.5, breaker=BreakerLimits(wait=0.1))
    async with Peer(trouble or hanging) as peer, calling(peer.address, policy=policy) as called:
        if trouble is None:
            await peer.stop()
        await fail(called, 20)
        assert called.metric("atoll_client_breaker") == 2
        tried, began = 0, time.monotonic()
        while tried < 6:
            with pytest.raises(AtollError) as caught:
                await called.items.item("hat")
            tried += caught.type is not CircuitOpen
            await asyncio.sleep(0.01)
        assert time.monotonic() - began >= 0.5
        peer.behaviour = answering(HAT)
        if trouble is None:
            await peer.start()
        began = time.monotonic()
        while called.metric("atoll_client_breaker") != 0:
            with contextlib.suppress(CircuitOpen, DeadlineExceeded):
                await called.items.item("hat")
            await asyncio.sleep(0.01)
        assert time.monotonic() - began < 2.0  # pauses that double would be longer by now


async def test_calls_that_their_caller_gave_up_do_not_open_the_breaker() -> None:
    async with Peer(hanging) as peer, calling(peer.address) as called:
        calls = [asyncio.ensure_future(called.items.item("hat")) for _ in range(40)]
        await eventually(lambda: len(peer.asked) == 40)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert called.metric("atoll_client_breaker") == 0
