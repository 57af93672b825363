"""A Lease that is held at an API server: what stands in the way of renewing it, and who takes it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from atoll.errors import DEPLOYING, TAKEN_OVER, AtollError
from atoll.kubernetes import lease
from atoll.kubernetes.client import Api
from atoll.kubernetes.lease import LASTS, Confirm, Terms, back_to, lease_object, take
from atoll.kubernetes.names import Object, Target
from atoll.kubernetes.objects import mapping
from atoll.wire.description import Description
from tests.kubernetes.api_server import LOST, Server
from tests.kubernetes.targets import target_of
from tests.waiting import eventually

NAME = "leases/atoll-deploying"
PUT = f"PUT {NAME}"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Lease is renewed often, and who lost it stops soon."""
    monkeypatch.setattr(lease, "_RENEW", 0.05)
    monkeypatch.setattr(lease, "_STOPS", 0.3)


@pytest.fixture
def target(shop: Description) -> Target:
    return target_of(shop)


def of_another(target: Target, *, age: float = 0.0) -> Object:
    return lease_object(target, Terms("mia", 3), datetime.now(UTC) - timedelta(seconds=age))


def renewed(server: Server, target: Target) -> None:
    server.put(NAME, of_another(target))


async def nothing(confirm: Confirm) -> str:
    await confirm()
    return "done"


async def refused(_: Confirm) -> None:
    raise DEPLOYING.error(system="shop", namespace="shop", who="me", since="now")


@pytest.mark.parametrize("failing", [[429], [503], [500, 500, 403], [LOST], [LOST, 500, 429, LOST]])
async def test_a_renewal_that_fails_ends_nothing_while_the_lease_lasts(
    server: Server, api: Api, target: Target, failing: list[int]
) -> None:
    held = await take(api, target, Terms("me", 1), is_forced=False)

    async def work(_: Confirm) -> str:
        # Given an API server that refuses a renewal, or whose answer to it is lost
        server.failing[PUT] = failing
        await eventually(lambda: not failing, "it was refused")
        # When it is renewed again
        last = mapping(server.objects[NAME], "spec")["renewTime"]
        await eventually(lambda: mapping(server.objects[NAME], "spec")["renewTime"] != last, "it is renewed")
        return "done"

    # Then the work ends in its own time
    assert await held.during(work) == "done"
    assert NAME not in server.objects


async def test_who_writes_something_else_into_the_lease_has_not_taken_over(
    server: Server, api: Api, target: Target
) -> None:
    held = await take(api, target, Terms("me", 1), is_forced=False)

    async def work(confirm: Confirm) -> Object:
        await confirm()
        _labelled(server)
        await confirm()
        return server.objects[NAME]

    found = await held.during(work)
    assert mapping(found, "metadata", "labels") == {"seen": "yes"}
    assert mapping(found, "spec")["holderIdentity"] == "me"


@pytest.mark.parametrize("is_removed", [False, True])
async def test_the_work_stops_when_another_took_over(
    server: Server, api: Api, target: Target, *, is_removed: bool
) -> None:
    held = await take(api, target, Terms("me", 1), is_forced=False)
    ended = asyncio.Event()

    async def work(confirm: Confirm) -> None:
        await confirm()
        try:
            if is_removed:
                del server.objects[NAME]
            else:
                server.put(NAME, of_another(target))
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(10):
        with pytest.raises(AtollError, match=TAKEN_OVER.code):
            await held.during(work)
    # Then it has stopped, and left to the other what is the other's
    assert ended.is_set()
    assert is_removed or mapping(server.objects[NAME], "spec")["holderIdentity"] == "mia"


@pytest.mark.parametrize("failing", [[500] * 1000, [429] * 5])
async def test_the_work_stops_before_another_may_take_what_could_not_be_renewed(
    server: Server, api: Api, target: Target, monkeypatch: pytest.MonkeyPatch, failing: list[int]
) -> None:
    monkeypatch.setattr(lease, "LASTS", 1.0)
    held = await take(api, target, Terms("me", 1), is_forced=False)
    server.failing[PUT] = failing
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        with pytest.raises(AtollError, match=r"ATL5101 .*Lease atoll-deploying could not be renewed") as raised:
            await held.during(lambda _: asyncio.Event().wait())
    assert asyncio.get_running_loop().time() - began >= 0.5
    # Then it says what it was told, if anything
    assert ("not now" in str(raised.value)) == (500 in failing)


async def test_a_lease_whose_taking_was_not_answered_is_taken(server: Server, api: Api, target: Target) -> None:
    server.put(NAME, of_another(target, age=LASTS))
    server.failing[PUT] = [LOST]
    held = await take(api, target, Terms("me", 1), is_forced=False)
    assert await held.during(nothing) == "done"


async def test_what_was_refused_before_it_began_leaves_the_lease_as_it_was(
    server: Server, api: Api, target: Target
) -> None:
    # Where there was none there is none
    held = await take(api, target, Terms("me", 1), is_forced=False)
    with pytest.raises(AtollError, match=DEPLOYING.code):
        await held.during(refused)
    assert NAME not in server.objects
    # And what another left halfway is still what is gone back from
    server.put(NAME, of_another(target, age=LASTS))
    held = await take(api, target, Terms("me", 1), is_forced=False)
    assert held.left == 3
    with pytest.raises(AtollError, match=DEPLOYING.code):
        await held.during(refused)
    assert mapping(server.objects[NAME], "spec")["holderIdentity"] == ""
    assert back_to(server.objects[NAME]) == 3


async def test_what_began_and_failed_leaves_a_lease_of_nobody_that_says_so(
    server: Server, api: Api, target: Target
) -> None:
    async def begun(confirm: Confirm) -> None:
        await confirm()
        await refused(confirm)

    held = await take(api, target, Terms("me", 1), is_forced=False)
    with pytest.raises(AtollError, match=DEPLOYING.code):
        await held.during(begun)
    assert mapping(server.objects[NAME], "spec")["holderIdentity"] == ""
    assert back_to(server.objects[NAME]) == 1


@pytest.mark.parametrize("work", [nothing, refused])
async def test_who_ends_leaves_to_another_what_was_taken_at_that_moment(
    server: Server, api: Api, target: Target, work: Callable[[Confirm], Coroutine[object, object, object]]
) -> None:
    held = await take(api, target, Terms("me", 1), is_forced=False)
    # When another takes it by force, just before it is removed
    server.meanwhile[f"DELETE {NAME}"] = lambda: renewed(server, target)
    with suppress(AtollError):
        await held.during(work)
    # Then it is the other's
    assert mapping(server.objects[NAME], "spec")["holderIdentity"] == "mia"


async def test_a_lease_that_others_label_while_it_is_removed_is_removed(
    server: Server, api: Api, target: Target
) -> None:
    held = await take(api, target, Terms("me", 1), is_forced=False)
    server.meanwhile[f"DELETE {NAME}"] = lambda: _labelled(server)
    server.failing[f"DELETE {NAME}"] = [0, LOST]
    assert await held.during(nothing) == "done"
    assert NAME not in server.objects


def _labelled(server: Server) -> None:
    there = server.objects[NAME]
    server.put(NAME, {**there, "metadata": {**mapping(there, "metadata"), "labels": {"seen": "yes"}}})


async def test_who_forces_it_is_not_refused_because_the_other_renews_it_meanwhile(
    server: Server, api: Api, target: Target
) -> None:
    server.put(NAME, of_another(target))
    server.meanwhile[PUT] = lambda: renewed(server, target)
    held = await take(api, target, Terms("me", 1), is_forced=True)
    assert await held.during(nothing) == "done"


async def test_who_takes_over_begins_when_the_other_has_stopped(
    api: Api, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who takes over waits for both times, and the other has the second of them to stop in.
    monkeypatch.setattr(lease, "_RENEW", 0.5)
    monkeypatch.setattr(lease, "_STOPS", 2.0)
    # Given one who is at it
    ended, is_at_it = asyncio.Event(), asyncio.Event()

    async def first(confirm: Confirm) -> None:
        try:
            await confirm()
            is_at_it.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def second(confirm: Confirm) -> bool:
        await confirm()
        return ended.is_set()

    one = asyncio.create_task((await take(api, target, Terms("mia", 1), is_forced=False)).during(first))
    await is_at_it.wait()
    # When another takes over
    with pytest.raises(AtollError, match=DEPLOYING.code):
        await take(api, target, Terms("me", 1), is_forced=False)
    held = await take(api, target, Terms("me", 1), is_forced=True)
    # Then the one has ended before the other begins
    async with asyncio.timeout(10):
        assert await held.during(second)
        with pytest.raises(AtollError, match=TAKEN_OVER.code):
            await one
