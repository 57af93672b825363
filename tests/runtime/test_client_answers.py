"""What a caller gets for each kind of answer."""

import asyncio
import contextlib
import gc
import json
import weakref

import pytest

from atoll import BadAnswer, CallFailed, ConnectionLost, DeadlineExceeded, Fault, Refused, Response, ServerFailed
from atoll.runtime.resilience.policy import Policy
from atoll.runtime.resilience.retry import RetryLimits
from atoll.wire.faults import FaultCodec, problem
from tests.runtime.calling import Item, StockBroken, UnknownItem, calling
from tests.runtime.peer import Asked, Behaviour, Peer, Wire, answer, answering, cutting, in_turn

HAT = {"id": "hat", "price": 7}
ONCE = Policy(retry=RetryLimits(more=0), answer=10_000)


def raw(data: bytes, *, close: bool = False) -> Behaviour:
    """Send these very bytes."""

    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(data)
        if close:
            wire.writer.close()

    return behave


def document(status: int, body: bytes, headers: dict[str, str] | None = None) -> Behaviour:
    return raw(answer(status=status, headers=headers, raw=body))


async def error_of(behaviour: Behaviour) -> CallFailed:
    """What the caller of an operation that may not be repeated gets."""
    async with Peer(behaviour) as peer, calling(peer.address, policy=ONCE) as called:
        with pytest.raises(CallFailed) as caught:
            await called.items.add(Item("hat"))
        return caught.value


async def test_of_a_request_that_is_answered_before_it_was_read_the_rest_is_not_sent() -> None:
    size, answered, read = 32 * 2**20, asyncio.Event(), asyncio.get_running_loop().create_future()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(HAT, status=201, headers={"connection": "close"}))
        await answered.wait()
        count = 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(2**20):
                count += len(data)
        writer.close()
        read.set_result(count)

    # Given a callee that answers, says that nothing follows, and waits
    server = await asyncio.start_server(behave, "127.0.0.1", 0)
    async with server, calling(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as called:
        assert await called.items.add(Item("x" * size)) == Item("hat", 7)
        # Then the connection does not stay until it has read everything
        answered.set()
        async with asyncio.timeout(5):
            assert await read < size


async def test_a_declared_fault_arrives_as_the_same_class_with_its_fields() -> None:
    body = FaultCodec(UnknownItem).encode(UnknownItem(item_id="hat"))
    async with Peer(document(404, body)) as peer, calling(peer.address) as called:
        with pytest.raises(UnknownItem) as caught:
            await called.items.item("hat")
        assert caught.value.item_id == "hat"
        assert len(peer.asked) == 1
        assert called.metric('http_client_request_duration_seconds_count{error_type="UnknownItem"') == 1


@pytest.mark.parametrize(("fault", "error"), [(UnknownItem(item_id="hat"), ""), (StockBroken(), "StockBroken")])
async def test_a_declared_fault_below_500_is_an_answer_and_no_failed_span(fault: Fault, error: str) -> None:
    status = type(fault).status
    async with Peer(document(status, FaultCodec(type(fault)).encode(fault))) as peer, calling(peer.address) as called:
        with pytest.raises(type(fault)):
            await called.items.item("hat")
        (span,) = called.telemetry.recorder.take()
        assert span.error == error
        assert ("atoll.fault" in (span.attributes or ())) is not bool(error)


async def test_a_fault_of_another_operation_is_an_error_that_was_not_declared() -> None:
    body = FaultCodec(StockBroken).encode(StockBroken())
    error = await error_of(document(500, body))
    assert isinstance(error, ServerFailed)
    assert "Stock broken: The stock can't be counted" in str(error)


async def test_a_fault_without_its_fields_is_a_bad_answer() -> None:
    body = json.dumps({"type": FaultCodec(UnknownItem).type, "status": 404}).encode()
    error = await error_of(document(404, body))
    assert isinstance(error, BadAnswer)
    assert "item_id" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 501, 502, 599])
async def test_any_other_status_is_a_failure_with_that_status(status: int) -> None:
    error = await error_of(answering({"whatever": 1}, status))
    assert isinstance(error, ServerFailed)
    assert error.status == status
    assert error.may_have_happened


async def test_what_the_callee_says_is_in_the_sentence() -> None:
    body = problem(422, "invalid-request", "The request does not fit the contract", "price is too low")
    error = await error_of(document(422, body))
    assert "it answered 422 The request does not fit the contract: price is too low" in str(error)


@pytest.mark.parametrize("status", [429, 503])
async def test_too_busy_means_that_nothing_was_done(status: int) -> None:
    error = await error_of(answering(status=status))
    assert isinstance(error, Refused)
    assert not error.may_have_happened


async def test_an_answer_that_was_retried_below_does_not_mean_that_nothing_was_done() -> None:
    error = await error_of(answering(status=503, headers={"Atoll-Retried": "1"}))
    assert isinstance(error, ServerFailed)
    assert error.may_have_happened


async def test_a_deadline_that_passed_at_the_callee_is_a_deadline_that_passed() -> None:
    assert isinstance(await error_of(answering(status=504)), DeadlineExceeded)


@pytest.mark.parametrize("status", [300, 302, 304])
async def test_a_redirect_is_not_followed(status: int) -> None:
    assert isinstance(await error_of(raw(answer(status=status, raw=b"", headers={"location": "/"}))), BadAnswer)


@pytest.mark.parametrize("body", [b"", b"{", b'{"price":7}', b'{"id":7}', b"[]", b"\xff\xfe"])
async def test_a_body_that_is_not_of_the_type_is_a_bad_answer(body: bytes) -> None:
    async with Peer(document(200, body)) as peer, calling(peer.address) as called:
        with pytest.raises(BadAnswer):
            await called.items.item("hat")
        assert len(peer.asked) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc Hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"\x00\x01\x02\x03" * 10,
    ],
)
async def test_garbage_is_a_bad_answer_and_ends_the_connection(garbage: bytes) -> None:
    async with Peer(in_turn(raw(garbage), answering(HAT))) as peer, calling(peer.address, policy=ONCE) as called:
        with pytest.raises(BadAnswer, match="not HTTP"):
            await called.items.item("hat")
        assert await called.items.item("hat") == Item("hat", 7)
        assert peer.connections == 2


@pytest.mark.parametrize(
    "large",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n" + b"x" * 20_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 4_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 4_000,
    ],
)
async def test_an_answer_beyond_the_limit_is_a_bad_one(large: bytes) -> None:
    async with Peer(raw(large)) as peer, calling(peer.address, policy=ONCE) as called:
        with pytest.raises(BadAnswer, match="larger than 10000 bytes"):
            await called.items.item("hat")


async def test_headers_come_with_the_value_where_the_contract_says_response() -> None:
    async with Peer(answering(HAT, headers={"ETag": '"7"'})) as peer, calling(peer.address) as called:
        response = await called.items.page()
        assert isinstance(response, Response)
        assert response.body == Item("hat", 7)
        assert response.headers["ETag"] == '"7"'


async def test_nothing_is_returned_where_the_contract_says_nothing() -> None:
    async with Peer(raw(b"HTTP/1.1 204 No Content\r\n\r\n")) as peer, calling(peer.address) as called:
        await called.items.remove("hat", 1)
        await called.items.remove("hat", 2)
        assert peer.connections == 1


async def test_answers_before_the_answer_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    async with Peer(raw(early + answer(HAT))) as peer, calling(peer.address) as called:
        assert await called.items.item("hat") == Item("hat", 7)


async def test_a_body_may_end_with_its_connection() -> None:
    body = b'HTTP/1.1 200 OK\r\n\r\n{"id":"hat","price":7}'
    async with Peer(raw(body, close=True)) as peer, calling(peer.address) as called:
        assert await called.items.item("hat") == Item("hat", 7)
        assert await called.items.item("hat") == Item("hat", 7)
        assert peer.connections == 2


async def test_a_body_with_a_length_may_not() -> None:
    error = await error_of(raw(answer(HAT)[:-3], close=True))
    assert isinstance(error, ConnectionLost)


async def test_a_callee_that_closes_after_its_answer_is_not_asked_on_that_connection_again() -> None:
    behaviour = raw(answer(HAT, headers={"connection": "close"}), close=True)
    async with Peer(behaviour) as peer, calling(peer.address) as called:
        for _ in range(3):
            assert await called.items.add(Item("hat")) == Item("hat", 7)
        assert peer.connections == 3


async def test_more_answers_than_were_asked_for_end_the_connection() -> None:
    async with Peer(raw(answer(HAT) + answer({"id": "evil"}))) as peer, calling(peer.address) as called:
        assert await called.items.item("hat") == Item("hat", 7)
        assert await called.items.item("hat") == Item("hat", 7)
        assert peer.connections == 2


async def test_the_span_says_what_went_wrong() -> None:
    async with Peer(answering(status=500)) as peer, calling(peer.address) as called:
        with pytest.raises(ServerFailed):
            await called.items.item("hat")
        (span,) = called.telemetry.recorder.take()
        assert (span.kind, span.name, span.error) == ("client", "items.item", "ServerFailed")
        assert span.attributes is not None
        assert dict(zip(span.attributes[::2], span.attributes[1::2], strict=True)) == {
            "peer.service": "items",
            "http.request.method": "GET",
            "url.template": "/items/{item_id}",
            "http.response.status_code": 500,
        }


@pytest.mark.parametrize("operation", ["item", "feed"])
@pytest.mark.parametrize("behaviour", [answering(status=404), answering(status=503), cutting])
async def test_an_error_is_gone_with_the_last_that_holds_it(operation: str, behaviour: Behaviour) -> None:
    """An error that refers to itself waits for the garbage collector, which runs rarely in a service."""
    async with Peer(behaviour) as peer, calling(peer.address) as called:

        async def ask() -> weakref.ref[CallFailed]:
            try:
                await (called.items.item("hat") if operation == "item" else anext(aiter(called.items.feed())))
            except CallFailed as error:
                return weakref.ref(error)
            raise AssertionError

        gc.disable()
        try:
            error = await ask()
            await asyncio.sleep(0.01)
            assert error() is None
        finally:
            gc.enable()
