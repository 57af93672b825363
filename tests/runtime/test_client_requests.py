"""What a call puts on the wire."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import pytest

from atoll.runtime.context import Context, Identity
from atoll.runtime.idempotency import Answer, Idempotency, fingerprint
from tests.runtime.calling import Item, calling, within
from tests.runtime.peer import Asked, Peer, Wire, answer, answering, cutting, in_turn
from tests.waiting import eventually

HAT = {"id": "hat", "price": 7}


def incoming(key: str) -> Context:
    """A request that came with an Idempotency-Key."""
    context = Context(1)
    context.idempotency = Idempotency(key, fingerprint("POST", "/", b""), lambda _: Answer(200, (), b""))
    return context


async def one(call: str, *args: object, **kwargs: object) -> Asked:
    """The request that the call makes."""
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called:
        await getattr(called.items, call)(*args, **kwargs)
        return peer.asked[0]


async def test_a_body_is_json_with_its_length_and_type() -> None:
    asked = await one("add", Item("hat", 7))
    assert (asked.method, asked.target) == ("POST", "/items")
    assert json.loads(asked.body) == HAT
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["content-length"] == str(len(asked.body))
    assert asked.headers["host"].startswith("127.0.0.1:")


async def test_a_call_without_a_body_has_no_length_and_no_type() -> None:
    asked = await one("remove", "hat", 3)
    assert (asked.method, asked.target) == ("DELETE", "/items/hat/parts/3")
    assert "content-length" not in asked.headers
    assert "content-type" not in asked.headers


@pytest.mark.parametrize(
    ("value", "path"),
    [("a b", "a%20b"), ("a/b", "a%2Fb"), ("ä?#%", "%C3%A4%3F%23%25"), ("50%", "50%25"), ("...", "..."), ("%s", "%25s")],
)
async def test_what_means_something_in_a_path_is_quoted(value: str, path: str) -> None:
    assert (await one("item", value)).target == f"/items/{path}?limit=5&new=false"


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_what_a_path_has_no_place_for_is_refused_before_anything_is_sent(value: str) -> None:
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called:
        with pytest.raises(ValueError, match="item_id can't be"):
            await called.items.item(value)
        assert peer.connections == 0


async def test_query_parameters_are_repeated_left_out_or_quoted() -> None:
    asked = await one("item", "hat", tags=["red & blue", "x=y"], new=True)
    assert asked.target == "/items/hat?limit=5&tags=red%20%26%20blue&tags=x%3Dy&new=true"


async def test_arguments_may_be_given_by_name_as_in_any_method() -> None:
    assert (await one("item", item_id="hat", limit=1)).target == "/items/hat?limit=1&new=false"
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called:
        wrong: list[tuple[Callable[..., Awaitable[object]], tuple[object, ...], dict[str, object], str]] = [
            (called.items.item, (), {}, "lacks item_id"),
            (called.items.item, ("a",), {"nope": 1}, "no parameter 'nope'"),
            (called.items.item, ("a",), {"item_id": "b"}, "'item_id' twice"),
            (called.items.remove, ("a", 1, 2), {}, "takes 2 arguments, 3 were given"),
        ]
        for method, args, kwargs, reason in wrong:
            with pytest.raises(TypeError, match=reason):
                await method(*args, **kwargs)
        assert peer.connections == 0


async def test_the_context_of_the_request_goes_along() -> None:
    caller = Identity("ada", frozenset(("write", "read")))
    context = Context(0xAB, caller=caller, tracestate="vendor=1", baggage="tenant=blue", sampled=True)
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called, within(context):
        await called.items.item("hat")
        (span,) = called.telemetry.recorder.take()
        assert peer.asked[0].headers["traceparent"] == f"00-{0xAB:032x}-{span.span_id:016x}-01"
        assert span.parent_id == context.span_id
        assert peer.asked[0].headers["tracestate"] == "vendor=1"
        assert peer.asked[0].headers["baggage"] == "tenant=blue"
        assert peer.asked[0].headers["x-atoll-subject"] == "ada"
        assert peer.asked[0].headers["x-atoll-scopes"] == "read write"
        assert 2900 < int(peer.asked[0].headers["x-envoy-expected-rq-timeout-ms"]) <= 3000


async def test_a_header_that_a_program_made_up_can_not_smuggle_a_line() -> None:
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called:
        async with within(Context(1, baggage="a=1\r\nx-evil: 1")):
            await called.items.item("hat")
        assert peer.asked[0].headers["baggage"] == "a=1x-evil: 1"
        assert "x-evil" not in peer.asked[0].headers


async def test_what_is_not_sampled_says_so_and_is_not_recorded() -> None:
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called, within(Context(7, sampled=False)):
        await called.items.item("hat")
        assert peer.asked[0].headers["traceparent"].endswith("-00")
        assert called.telemetry.recorder.take() == []


async def test_without_a_context_a_call_begins_a_trace() -> None:
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called:
        await called.items.item("hat")
        (span,) = called.telemetry.recorder.take()
        assert span.trace_id != 0
        assert span.parent_id == 0
        assert f"{span.trace_id:032x}" in peer.asked[0].headers["traceparent"]


async def test_an_idempotency_key_is_random_per_call_and_kept_across_its_attempts() -> None:
    async with Peer(in_turn(cutting, answering(HAT))) as peer, calling(peer.address) as called:
        await called.items.pay(Item("hat"))
        await called.items.pay(Item("hat"))
        first, again, second = (asked.headers["idempotency-key"] for asked in peer.asked)
        assert first == again != second


async def test_the_same_incoming_key_gives_the_same_keys_to_the_same_calls_in_their_order() -> None:
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called:
        for key in ("a", "a", "b"):
            async with within(incoming(key)):
                await called.items.pay(Item("hat"))
                await called.items.item("hat")
                await called.items.pay(Item("hat"))
        keys = [asked.headers["idempotency-key"] for asked in peer.asked if asked.method == "POST"]
        assert keys[0:2] == keys[2:4]
        assert len(set(keys)) == 4


async def test_operations_that_keep_no_keys_get_none() -> None:
    assert "idempotency-key" not in (await one("add", Item("hat"))).headers


async def test_one_connection_serves_one_call_after_the_other() -> None:
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called:
        for _ in range(10):
            await called.items.item("hat")
        assert peer.connections == 1


async def test_calls_at_the_same_time_have_connections_of_their_own() -> None:
    release = asyncio.Event()

    async def wait(_: Asked, wire: Wire) -> None:
        await release.wait()
        await wire.send(answer(HAT))

    async with Peer(wait) as peer, calling(peer.address) as called:
        calls = [asyncio.ensure_future(called.items.item(str(number))) for number in range(5)]
        await eventually(lambda: len(peer.asked) == 5)
        assert {asked.connection for asked in peer.asked} == {1, 2, 3, 4, 5}
        release.set()
        await asyncio.gather(*calls)
        await called.items.item("hat")
        assert peer.connections == 5


async def test_a_host_name_stands_for_its_addresses() -> None:
    async with Peer(answering(HAT)) as peer:
        port = peer.address.rpartition(":")[2]
        async with calling(f"http://localhost:{port}") as called:
            assert await called.items.item("hat") == Item("hat", 7)
            assert peer.asked[0].headers["host"] == f"localhost:{port}"


async def test_an_address_may_have_a_path_before_all_others() -> None:
    async with Peer(answering(HAT)) as peer, calling(f"{peer.address}/api/v1/") as called:
        await called.items.remove("hat", 1)
        assert peer.asked[0].target == "/api/v1/items/hat/parts/1"


async def test_a_call_inside_a_transaction_is_warned_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    context = Context(1)
    context.in_transaction = 1
    async with Peer(answering(HAT)) as peer, calling(peer.address) as called, within(context):
        with caplog.at_level(logging.WARNING, "atoll.client"):
            for _ in range(3):
                await called.items.item("hat")
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "items.item is called inside a transaction"
    ]
