"""What a deployment of one service would break for those that stay is found before anything is applied."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from atoll.kubernetes.conflicts import Conflict, conflicts, skew
from atoll.kubernetes.names import Target
from atoll.kubernetes.revision import Built, built_of
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
        Conflict("checkout", "cart", "checkout", "order-placed lacks the field event.email"),
        Conflict("checkout", "email", "checkout", "order-placed lacks the field event.email"),
    ]
    # Another way round as well: a consumer that wants what nobody sends yet.
    assert conflicts(deployed, {"email": after["email"]}) == [
        Conflict("checkout", "email", "email", "order-placed lacks the field event.address")
    ]
    # All of them together agree, and who has nothing to do with the topic is nobody's concern.
    assert conflicts(deployed, {name: after[name] for name in ("cart", "checkout", "email")}) == []
    assert conflicts(deployed, {"catalog": after["catalog"]}) == []


def test_a_field_deep_in_an_event_is_named_with_its_way(shop: Description, target: Target) -> None:
    changed = with_type(shop, "Line", renamed(shop.schemas["Line"], "quantity", "count"))
    found = conflicts(built(target), {"checkout": built(changed)["checkout"]})
    assert Conflict("checkout", "email", "checkout", "order-placed lacks the field event.lines[].quantity") in found


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
        Conflict("payment", "checkout", "payment", "payment-settled is not published any more"),
        Conflict("payment", "shipping", "payment", "payment-settled is not published any more"),
    ]
    sent, schemas = deployed["payment"].publishes, deployed["payment"].schemas
    moved = replace(deployed["catalog"], publishes=sent, schemas={**deployed["catalog"].schemas, **schemas})
    assert conflicts(deployed, {"payment": silent, "catalog": moved}) == []


def test_a_revision_that_knows_no_topics_yet_refuses_nothing(target: Target) -> None:
    unknown = {name: replace(each, publishes={}, consumes={}) for name, each in built(target).items()}
    assert conflicts(unknown, {"checkout": built(target)["checkout"]}) == []
    assert conflicts(unknown, {"email": built(target)["email"]}) == []


def test_who_is_deployed_is_told_what_to_do_by_which_of_the_two_is_the_new_one(
    shop: Description, target: Target
) -> None:
    changed = with_type(shop, "OrderPlaced", renamed(shop.schemas["OrderPlaced"], "email", "address"))
    deployed, after = built(target), built(changed)
    ahead, *_ = [each.problem for each in conflicts(deployed, {"email": after["email"]})]
    assert ahead.code == "ATL5114"
    assert ahead.sentence == (
        "email would break at checkout as it is deployed: order-placed lacks the field event.address."
    )
    assert "`atoll deploy checkout email`" in ahead.do
    behind = [each.problem for each in conflicts(deployed, {"checkout": after["checkout"]})]
    assert {each.code for each in behind} == {"ATL5106"}


def test_what_two_that_are_replaced_together_break_meanwhile_is_told_both_ways(
    shop: Description, target: Target
) -> None:
    changed = with_type(shop, "OrderPlaced", renamed(shop.schemas["OrderPlaced"], "email", "address"))
    deployed, after = built(target), built(changed)
    assert conflicts(deployed, after) == []
    found = skew(deployed, after)
    assert [each for each in found if each.consumer == "email"] == [
        Conflict("checkout", "email", "checkout", "order-placed lacks the field event.email"),
        Conflict("checkout", "email", "email", "order-placed lacks the field event.address"),
    ]
    assert str(found[-1]) == (
        "email breaks where the new email meets the old checkout: order-placed lacks the field event.address"
    )
    # Nothing is told of what stays as it is, or is new altogether.
    assert skew(deployed, deployed) == []
    assert skew(deployed, {"checkout": after["checkout"]}) == []
    assert skew({name: each for name, each in deployed.items() if name != "checkout"}, after) == []


def test_a_method_that_is_new_and_used_at_once_is_told(target: Target) -> None:
    deployed = built(target)
    (served,) = deployed["catalog"].serves
    used = replace(served, operations=tuple(each for each in served.operations if each.name != "product"))
    before = {**deployed, "catalog": replace(deployed["catalog"], serves=(used,))}
    assert ("checkout", "checkout", f"{served.name}.product is missing") in [
        (each.consumer, each.newer, each.reason) for each in skew(before, deployed)
    ]
