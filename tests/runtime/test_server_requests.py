"""What an operation's caller gets: values, faults, and every way in which a request can be wrong."""

import logging
import uuid
from dataclasses import dataclass
from datetime import date

import msgspec
import pydantic
import pytest

from atoll import CallFailed, CircuitOpen, DeadlineExceeded, Fault, Response, ServerFailed, delete, get, post, put
from tests.runtime.raw import Answer, served


class Item(msgspec.Struct):
    sku: str
    count: int


class NewOrder(msgspec.Struct):
    customer: str
    items: list[Item]


class Address(pydantic.BaseModel):
    street: str
    number: int


@dataclass
class Point:
    x: float
    y: float = 0.0


class Priced(msgspec.Struct):
    """A value with code of its own, which has a bug."""

    per: int

    def __post_init__(self) -> None:
        self.per = 100 // self.per


class OutOfStock(Fault, status=409):
    """There are not enough of them."""

    sku: str
    left: int = 0


class Undeclared(Fault, status=418):
    """Nobody was told."""


class Shop:
    def __init__(self) -> None:
        self.seen: list[object] = []

    @get("/items/{sku}")
    async def item(self, sku: str) -> Item:
        return Item(sku, 1)

    @get("/items")
    async def items(
        self,
        *,
        limit: int = 50,
        tags: list[str] = [],  # noqa: B006  a default that nobody changes
        since: date | None = None,
        sold: bool = False,
    ) -> list[str]:
        return [str(limit), *tags, str(since), str(sold)]

    @get("/items/special")
    async def special(self) -> str:
        return "special"

    @get("/orders/{order_id}/lines/{line}")
    async def line(self, order_id: uuid.UUID, line: int) -> str:
        return f"{order_id} {line}"

    @post("/orders", status=201, raises=[OutOfStock])
    async def place(self, order: NewOrder) -> int:
        self.seen.append(order)
        for item in order.items:
            if item.count > 9:
                raise OutOfStock(sku=item.sku, left=9)
        return sum(item.count for item in order.items)

    @post("/addresses")
    async def address(self, address: Address) -> Address:
        return address

    @post("/prices")
    async def price(self, price: Priced) -> None:
        self.seen.append(price)

    @put("/points/{name}")
    async def point(self, name: str, point: Point, scale: float = 1.0) -> Point:
        return Point(point.x * scale, point.y * scale)

    @delete("/items/{sku}")
    async def remove(self, sku: str) -> None:
        self.seen.append(sku)

    @post("/touch", status=202)
    async def touch(self) -> None: ...

    @get("/moved")
    async def moved(self) -> Response[str]:
        return Response("there", {"Location": "/there", "Cache-Control": "no-store"})

    @get("/splitting")
    async def splitting(self, value: str) -> Response[str]:
        return Response("", {"X-Echo": value})

    @get("/broken")
    async def broken(self) -> str:
        raise RuntimeError("the password is wombat")

    @get("/undeclared")
    async def undeclared(self) -> str:
        raise Undeclared

    @get("/downstream")
    async def downstream(self) -> str:
        raise CallFailed("payment", "charge", "it said 500")

    @get("/downstream/late")
    async def downstream_late(self) -> str:
        raise DeadlineExceeded("payment", "charge", "it had not answered")

    @get("/downstream/open")
    async def downstream_open(self) -> str:
        raise CircuitOpen("payment", "charge", "the circuit breaker is open")

    @get("/downstream/below")
    async def downstream_below(self) -> str:
        error = ServerFailed("payment", "charge", "it answered 502", 502)
        error.below = True
        raise error

    @get("/nothing-json")
    async def nothing_json(self) -> str:
        return object()  # type: ignore[return-value]


def is_problem(answer: Answer, status: int, kind: str) -> dict[str, object]:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json
    assert document["type"] == f"urn:atoll:problem:{kind}"
    assert document["status"] == status
    assert document["title"]
    assert len(str(document["trace_id"])) == 32
    return document


async def test_a_path_parameter_reaches_the_method_decoded() -> None:
    async with served(Shop()) as shop:
        answer = await shop.ask("GET", "/items/caf%C3%A9%2Fbar")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"sku": "café/bar", "count": 1}


async def test_query_parameters_are_converted_repeated_and_defaulted() -> None:
    async with served(Shop()) as shop:
        plain = await shop.ask("GET", "/items")
        full = await shop.ask("GET", "/items?limit=7&tags=a&tags=b%20c&since=2026-11-23&sold=true&other=1")
    assert plain.body == b'["50","None","False"]'
    assert full.body == b'["7","a","b c","2026-11-23","True"]'


async def test_a_literal_segment_beats_a_parameter() -> None:
    async with served(Shop()) as shop:
        assert (await shop.ask("GET", "/items/special")).body == b'"special"'
        assert (await shop.ask("DELETE", "/items/special")).status == 204


async def test_a_body_becomes_a_struct_a_dataclass_or_a_pydantic_model() -> None:
    async with served(Shop()) as shop:
        order = await shop.ask("POST", "/orders", {"customer": "ada", "items": [{"sku": "a", "count": 2}]})
        point = await shop.ask("PUT", "/points/p?scale=2", {"x": 1.5})
        address = await shop.ask("POST", "/addresses", {"street": "Elm", "number": "3"})
    assert (order.status, order.body) == (201, b"2")
    assert point.json == {"x": 3.0, "y": 0.0}
    assert address.json == {"street": "Elm", "number": 3}


async def test_an_answer_without_a_body_has_none() -> None:
    async with served(Shop()) as shop, await shop.peer() as peer:
        nothing = await peer.ask("DELETE", "/items/a")
        accepted = await peer.ask("POST", "/touch")
        after = await peer.ask("GET", "/items/b")
    assert (nothing.status, "content-length" in nothing.headers) == (204, False)
    assert (accepted.status, accepted.headers["content-length"]) == (202, "0")
    assert after.json["sku"] == "b"


async def test_head_is_answered_like_get_without_the_body() -> None:
    async with served(Shop()) as shop, await shop.peer() as peer:
        head = await peer.ask("HEAD", "/items/a")
        missing = await peer.ask("HEAD", "/nothing")
        after = await peer.ask("GET", "/items/a")
    assert (head.status, head.headers["content-length"]) == (200, after.headers["content-length"])
    assert missing.status == 404
    assert after.json["sku"] == "a"


async def test_an_unknown_path_is_404() -> None:
    async with served(Shop()) as shop:
        document = is_problem(await shop.ask("GET", "/nothing/here?secret=1"), 404, "not-found")
        assert document["instance"] == "/nothing/here"
        is_problem(await shop.ask("GET", "/items/"), 404, "not-found")
        is_problem(await shop.ask("GET", "//items/a"), 404, "not-found")


async def test_a_method_that_the_path_does_not_answer_is_405_with_those_that_it_does() -> None:
    async with served(Shop()) as shop:
        answer = await shop.ask("PATCH", "/items/special")
    is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "DELETE, GET, HEAD"


async def test_what_is_not_json_is_400() -> None:
    async with served(Shop()) as shop:
        deep = b'{"unknown":' + b"[" * 100_000
        for body in (b'{"customer"', b"", b"\xff", b'{"customer": "\xff", "items": []}', deep, b"nonsense"):
            is_problem(await shop.ask("POST", "/orders", body), 400, "not-json")


async def test_a_wrong_type_is_422_with_the_path_of_the_field() -> None:
    async with served(Shop()) as shop:
        body = {"customer": "ada", "items": [{"sku": "a", "count": 1}, {"sku": "b", "count": "two"}]}
        document = is_problem(await shop.ask("POST", "/orders", body), 422, "invalid-request")
    assert document["errors"] == [{"path": "$.items[1].count", "message": "Expected `int`, got `str`"}]


async def test_every_wrong_parameter_is_told_at_once() -> None:
    async with served(Shop()) as shop:
        document = is_problem(await shop.ask("PUT", "/points/p?scale=big", {"x": "no"}), 422, "invalid-request")
        line = is_problem(await shop.ask("GET", "/orders/7/lines/one"), 422, "invalid-request")
    assert [error["path"] for error in document["errors"]] == ["scale", "$.x"]  # type: ignore[attr-defined]
    assert [error["path"] for error in line["errors"]] == ["order_id", "line"]  # type: ignore[attr-defined]


async def test_a_pydantic_model_tells_every_wrong_field() -> None:
    async with served(Shop()) as shop:
        document = is_problem(await shop.ask("POST", "/addresses", {"number": "x"}), 422, "invalid-request")
        is_problem(await shop.ask("POST", "/addresses", b"{"), 400, "not-json")
    assert [error["path"] for error in document["errors"]] == ["$.street", "$.number"]  # type: ignore[attr-defined]


async def test_a_missing_query_parameter_is_422() -> None:
    async with served(Shop()) as shop:
        document = is_problem(await shop.ask("GET", "/splitting"), 422, "invalid-request")
    assert document["errors"] == [{"path": "value", "message": "The query parameter is missing"}]


async def test_a_path_or_query_that_is_not_utf8_is_400() -> None:
    async with served(Shop()) as shop:
        is_problem(await shop.ask("GET", "/items/%FF"), 400, "bad-request")
        is_problem(await shop.ask("GET", "/items?tags=%FF"), 400, "bad-request")
        is_problem(await shop.ask("GET", "/items?" + "a&" * 1001), 400, "bad-request")


async def test_another_media_type_or_encoding_is_415() -> None:
    async with served(Shop()) as shop:
        form = await shop.ask("POST", "/orders", b"a=b", content_type="application/x-www-form-urlencoded")
        is_problem(form, 415, "unsupported-media-type")
        zipped = await shop.ask("POST", "/orders", b"...", content_encoding="gzip")
        is_problem(zipped, 415, "unsupported-media-type")
        charset = await shop.ask("POST", "/addresses", {"street": "a", "number": 1}, content_type="text/JSON; a=b")
        is_problem(charset, 415, "unsupported-media-type")
        for media in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.shop+json"):
            answer = await shop.ask("POST", "/addresses", {"street": "a", "number": 1}, content_type=media)
            assert answer.status == 200


async def test_a_declared_fault_is_a_problem_document_with_its_fields() -> None:
    async with served(Shop()) as shop:
        answer = await shop.ask("POST", "/orders", {"customer": "ada", "items": [{"sku": "a", "count": 10}]})
    assert answer.status == 409
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json
    assert len(str(document.pop("trace_id"))) == 32
    assert document == {
        "type": "urn:atoll:fault:out-of-stock",
        "title": "Out of stock",
        "status": 409,
        "detail": "There are not enough of them.",
        "instance": "/orders",
        "sku": "a",
        "left": 9,
    }


async def test_an_exception_is_500_without_what_only_the_log_should_have(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Shop()) as shop:
        with caplog.at_level(logging.ERROR):
            answer = await shop.ask("GET", "/broken")
            is_problem(answer, 500, "internal")
            assert b"wombat" not in answer.body
            is_problem(await shop.ask("GET", "/undeclared"), 500, "internal")
            is_problem(await shop.ask("GET", "/nothing-json"), 500, "internal")
    assert "the password is wombat" in caplog.text
    assert "Undeclared, which it does not declare" in caplog.text


async def test_a_value_whose_own_code_fails_is_500_and_its_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Shop()) as service, await service.peer() as peer:
        answer = await peer.ask("POST", "/prices", {"per": 0})
        assert (answer.status, answer.json["type"]) == (500, "urn:atoll:problem:internal")
        assert (await peer.ask("POST", "/prices", {"per": 1})).status == 204
    assert "ZeroDivisionError" in caplog.text


async def test_a_call_that_failed_below_is_502_and_says_that_it_was_retried() -> None:
    async with served(Shop()) as shop:
        answer = await shop.ask("GET", "/downstream")
    is_problem(answer, 502, "dependency-failed")
    assert answer.headers["atoll-retried"] == "1"
    assert b"payment" not in answer.body


async def test_a_failure_that_was_told_nearer_to_its_cause_is_not_told_again_for_each_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(Shop()) as shop:
        for path in ("/downstream", "/downstream/late", "/downstream/open", "/downstream/below"):
            assert (await shop.ask("GET", path)).status in (502, 504)
    told = [record.getMessage().partition(" failed")[0] for record in caplog.records if record.name == "atoll.server"]
    assert told == ["Shop.downstream", "Shop.downstream_late"]


async def test_a_call_that_got_no_answer_in_time_is_504_and_says_whose_time_it_was() -> None:
    async with served(Shop()) as shop:
        answer = await shop.ask("GET", "/downstream/late")
    is_problem(answer, 504, "dependency-late")
    assert answer.headers["atoll-retried"] == "1"
    assert b"payment" not in answer.body


async def test_a_response_brings_its_headers_unless_they_would_break_the_answer() -> None:
    async with served(Shop()) as shop:
        moved = await shop.ask("GET", "/moved")
        assert (moved.headers["location"], moved.headers["cache-control"], moved.body) == (
            "/there",
            "no-store",
            b'"there"',
        )
        assert (await shop.ask("GET", "/splitting?value=fine")).headers["x-echo"] == "fine"
        is_problem(await shop.ask("GET", "/splitting?value=a%0D%0ASet-Cookie:%20b"), 500, "internal")
        is_problem(await shop.ask("GET", "/splitting?value=%E2%82%AC"), 500, "internal")


async def test_a_request_for_a_whole_url_is_served_as_its_path() -> None:
    async with served(Shop()) as shop:
        assert (await shop.ask("GET", "http://test/items/a")).json["sku"] == "a"
        is_problem(await shop.ask("OPTIONS", "*"), 400, "bad-request")


async def test_every_request_is_a_span_and_a_measurement() -> None:
    async with served(Shop()) as shop:
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        await shop.ask("GET", "/items/a", traceparent=parent)
        await shop.ask("GET", "/items/b", traceparent=parent.removesuffix("01") + "00")
        document = is_problem(await shop.ask("GET", "/broken"), 500, "internal")
        await shop.ask("GET", "/nothing")
        item, broken, nothing = shop.telemetry.recorder.take()
        page = shop.telemetry.metrics.render()
    assert (item.kind, item.name, item.error) == ("server", "GET /items/{sku}", "")
    assert (item.trace_id, item.parent_id) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    assert item.attributes == (
        *("http.request.method", "GET", "http.route", "/items/{sku}"),
        *("http.response.status_code", 200, "code.function.name", "Shop.item"),
    )
    assert item.start <= item.end
    assert (broken.error, f"{broken.trace_id:032x}") == ("RuntimeError", document["trace_id"])
    assert nothing.name == "GET"
    series = 'http_request_method="GET",http_response_status_code="200",http_route="/items/{sku}"'
    assert f"http_server_request_duration_seconds_count{{{series}}} 2" in page
