"""The AsyncAPI document of a system, judged by AsyncAPI's own schema."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from shop.checkout.contract import Line, OrderPlaced
from shop.money import Money

from atoll import Database, Publisher, Service, System, Topic, Transaction, consumes, get, publishes
from atoll.model.system import read_system
from atoll.supervisor.children import Python
from atoll.supervisor.children import describe as describe_in_child
from atoll.wire import cloudevents
from atoll.wire.asyncapi import asyncapi
from atoll.wire.description import Description, describe
from tests.npm import installed

SHOP = Path(__file__).parents[2] / "examples" / "shop"
Document = dict[str, Any]


class Point(msgspec.Struct):
    """Where something is."""

    name: str
    at: tuple[float, float]
    beside: list["Point"] = []


moved = Topic("moved", Point, key="name")
seen = Topic("seen", str)


@publishes(moved, seen)
class Walker:
    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    @get("/walk")
    async def walk(self) -> None:
        await self._publisher.publish(moved, Point("a", (0.0, 1.0)))


class Watcher:
    def __init__(self, database: Database) -> None:
        self._database = database

    @consumes(moved)
    async def note(self, event: Point, tx: Transaction) -> None:
        """Note it."""

    @consumes(seen, idempotent=True)
    async def look(self, event: str) -> None:
        """Look."""


@pytest.fixture
def description() -> Description:
    system = System("walks", services=[Service("walker", Walker), Service("watcher", Watcher)])
    graph = read_system(system, lambda target: target)
    return describe(graph, Path(), (), lambda module: (), {})


@pytest.fixture(scope="module")
def shop() -> Description:
    return asyncio.run(describe_in_child(Python(dict(os.environ), sys.executable), "shop.system:shop", SHOP))


@pytest.fixture(scope="session")
def judge() -> jsonschema.Draft7Validator:
    """AsyncAPI's schema of a document of version 3.0.0."""
    schemas = installed(Path(__file__).parent / "asyncapi_specs") / "@asyncapi" / "specs" / "schemas"
    return jsonschema.Draft7Validator(json.loads((schemas / "3.0.0-without-$id.json").read_text()))


def document_of(description: Description) -> Document:
    document: Document = msgspec.json.decode(msgspec.json.encode(asyncapi(description, "1")))
    return document


def within(document: Document, schema: object) -> jsonschema.Draft7Validator:
    """A judge of what one schema of the document describes."""
    return jsonschema.Draft7Validator({"allOf": [schema], "components": document["components"]})


def references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_schema_of_asyncapi_accepts_the_document(
    description: Description, judge: jsonschema.Draft7Validator
) -> None:
    judge.validate(document_of(description))


def test_the_schema_of_asyncapi_accepts_the_document_of_the_boutique(
    shop: Description, judge: jsonschema.Draft7Validator
) -> None:
    judge.validate(document_of(shop))


def test_a_system_without_topics_has_a_document_without_a_broker(judge: jsonschema.Draft7Validator) -> None:
    graph = read_system(System("quiet", services=[]), lambda target: target)
    document = document_of(describe(graph, Path(), (), lambda module: (), {}))
    judge.validate(document)
    assert document["servers"] == document["operations"] == document["channels"] == {}


def test_the_judge_refuses_what_is_no_such_document(
    description: Description, judge: jsonschema.Draft7Validator
) -> None:
    document = document_of(description)
    document["operations"]["watcher.note"]["action"] = "hear"
    assert not judge.is_valid(document)


def test_the_same_system_gives_the_same_bytes_also_after_a_journey_as_data(description: Description) -> None:
    travelled = msgspec.json.decode(msgspec.json.encode(description), type=Description)
    first, second = (msgspec.json.encode(asyncapi(each, "1")) for each in (description, travelled))
    assert first == second


def test_everything_that_the_document_refers_to_is_in_it(description: Description, shop: Description) -> None:
    for document in (document_of(description), document_of(shop)):
        for reference in references(document):
            found: Any = document
            for name in reference.removeprefix("#/").split("/"):
                found = found[name]
            assert found


def test_who_sends_and_who_receives_is_said_with_the_durable_consumer(shop: Description) -> None:
    operations = document_of(shop)["operations"]
    said = {
        name: (each["action"], each["channel"]["$ref"].rpartition("/")[2], each.get("bindings", {}).get("nats", {}))
        for name, each in operations.items()
    }
    heard = {name: (channel, binding["queue"]) for name, (action, channel, binding) in said.items() if binding}
    assert {name: channel for name, (action, channel, _) in said.items() if action == "send"} == {
        "checkout.publish.order-placed": "order-placed",
        "payment.publish.payment-settled": "payment-settled",
        "shipping.publish.order-shipped": "order-shipped",
    }
    assert heard == {
        "cart.close": ("order-placed", "cart-close"),
        "checkout.settle": ("payment-settled", "checkout-settle"),
        "shipping.ship": ("payment-settled", "shipping-ship"),
        "email.confirm": ("order-placed", "email-confirm"),
        "email.follow": ("order-shipped", "email-follow"),
    }


def test_a_channel_is_the_subject_on_which_the_broker_carries_it(shop: Description) -> None:
    addresses = {name: channel["address"] for name, channel in document_of(shop)["channels"].items()}
    assert addresses == {name: f"evt.shop.{name}" for name in ("order-placed", "order-shipped", "payment-settled")}


def test_an_event_and_its_headers_are_as_the_document_says(shop: Description) -> None:
    # Given what is written for an order
    document = document_of(shop)
    message = document["components"]["messages"]["order-placed"]
    money = Money("EUR", 1800)
    event = OrderPlaced("o1", "a@b.cd", "Ada", [Line("mug", "Mug", 1, money)], money, money)
    headers = cloudevents.write(
        cloudevents.Attributes("id", "/shop/checkout", "shop.order-placed", datetime.now(UTC), "o1")
    )
    # Then the document describes it, and nothing that lacks a part of it
    payload = msgspec.to_builtins(event)
    within(document, message["payload"]).validate(payload)
    within(document, message["headers"]).validate(headers)
    assert not within(document, message["payload"]).is_valid({**payload, "total": "18.00"})
    assert not within(document, message["headers"]).is_valid({**headers, "ce-type": "shop.order-shipped"})
    assert not within(document, message["headers"]).is_valid({k: v for k, v in headers.items() if k != "ce-id"})


def test_a_tuple_is_described_in_words_that_a_reader_of_draft_7_knows(description: Description) -> None:
    document = document_of(description)
    point = within(document, document["components"]["messages"]["moved"]["payload"])
    assert point.is_valid({"name": "a", "at": [0, 1]})
    assert not point.is_valid({"name": "a", "at": [0, "one"]})
    assert not point.is_valid({"name": "a", "at": [0, 1, 2]})


def test_only_schemas_that_events_are_made_of_are_in_it(shop: Description) -> None:
    assert sorted(document_of(shop)["components"]["schemas"]) == [
        "Address",
        "Line",
        "Money",
        "OrderPlaced",
        "OrderShipped",
        "PaymentSettled",
    ]
