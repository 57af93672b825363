"""What a deployment of one service would break for those that stay is found before anything is applied."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from atoll.kubernetes.names import Target
from atoll.kubernetes.revision import Built, built_of, conflicts
from atoll.wire.description import Description
from atoll.wire.schema import Schema
from tests.kubernetes.targets import target_of


@pytest.fixture
def target(shop: Description) -> Target:
    return target_of(shop)


def built(target: Target) -> dict[str, Built]:
    return {each.name: built_of(target, each) for each in target.members}


def with_type(description: Description, name: str, change: Mapping[str, object]) -> Target:
    """The system whose named type has other properties."""
    return target_of(replace(description, schemas={**description.schemas, name: change}))


def renamed(schema: Schema, old: str, new: str) -> Schema:
    properties, required = schema["properties"], schema["required"]
    assert isinstance(properties, dict)
    assert isinstance(required, list | tuple)
    return {
        **schema,
        "properties": {new if name == old else name: each for name, each in properties.items()},
        "required": [new if name == old else name for name in required],
    }


def test_a_field_of_an_event_that_is_renamed_breaks_who_consumes_it(shop: Description, target: Target) -> None:
    changed = with_type(shop, "OrderPlaced", renamed(shop.schemas["OrderPlaced"], "email", "address"))
    deployed, after = built(target), built(changed)
    assert conflicts(deployed, {"checkout": after["checkout"]}) == [
        ("checkout", "cart", "order-placed lacks the field event.email"),
        ("checkout", "email", "order-placed lacks the field event.email"),
    ]
    # Another way round as well: a consumer that wants what nobody sends yet.
    assert conflicts(deployed, {"email": after["email"]}) == [
        ("checkout", "email", "order-placed lacks the field event.address")
    ]
    # All of them together agree, and who has nothing to do with the topic is nobody's concern.
    assert conflicts(deployed, {name: after[name] for name in ("cart", "checkout", "email")}) == []
    assert conflicts(deployed, {"catalog": after["catalog"]}) == []


def test_a_field_deep_in_an_event_is_named_with_its_way(shop: Description, target: Target) -> None:
    changed = with_type(shop, "Line", renamed(shop.schemas["Line"], "quantity", "count"))
    found = conflicts(built(target), {"checkout": built(changed)["checkout"]})
    assert ("checkout", "email", "order-placed lacks the field event.lines[].quantity") in found


def test_a_field_more_in_an_event_breaks_nobody(shop: Description, target: Target) -> None:
    schema = shop.schemas["OrderPlaced"]
    more = {**schema, "properties": {**schema["properties"], "note": {"type": "string"}}}  # type: ignore[dict-item]
    changed = with_type(shop, "OrderPlaced", more)
    assert conflicts(built(target), {"checkout": built(changed)["checkout"]}) == []


def test_a_topic_that_is_not_published_any_more_breaks_who_consumes_it_unless_another_publishes_it(
    target: Target,
) -> None:
    deployed = built(target)
    silent = replace(deployed["payment"], publishes={})
    assert conflicts(deployed, {"payment": silent}) == [
        ("payment", "checkout", "payment-settled is not published any more"),
        ("payment", "shipping", "payment-settled is not published any more"),
    ]
    sent, schemas = deployed["payment"].publishes, deployed["payment"].schemas
    moved = replace(deployed["catalog"], publishes=sent, schemas={**deployed["catalog"].schemas, **schemas})
    assert conflicts(deployed, {"payment": silent, "catalog": moved}) == []


def test_a_revision_that_knows_no_topics_yet_refuses_nothing(target: Target) -> None:
    unknown = {name: replace(each, publishes={}, consumes={}) for name, each in built(target).items()}
    assert conflicts(unknown, {"checkout": built(target)["checkout"]}) == []
    assert conflicts(unknown, {"email": built(target)["email"]}) == []
