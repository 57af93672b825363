"""A deployment of one service touches no other; but it brings along what that service newly needs of others."""

import re
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from msgspec.structs import replace

from atoll.kubernetes.engines import NATS_FILE
from atoll.kubernetes.names import NAMESPACE, NATS, POSTGRES, SETUP, Object, Target
from atoll.kubernetes.objects import Key, items, key_of, mapping
from atoll.kubernetes.render import objects
from atoll.kubernetes.scope import Scope, scope_of
from atoll.model.setup import Setup
from atoll.wire.description import ConsumerData, Description, MemberData
from tests.kubernetes.targets import container_of, target_of
from tests.kubernetes.test_networking import may_connect


def changed(description: Description, name: str, **fields: object) -> Description:
    """The system in which a service declares something else."""
    return replace(
        description,
        members=tuple(replace(each, **fields) if each.name == name else each for each in description.members),
    )


def member(description: Description, name: str) -> MemberData:
    found = description.member(name)
    assert found is not None
    return found


def calling_ads(description: Description, name: str) -> Description:
    call = next(each for each in member(description, "frontend").calls if each.to == "ads")
    return changed(description, name, calls=(*member(description, name).calls, call))


def consuming(description: Description, name: str, topic: str) -> Description:
    more = ConsumerData(topic, "hear", transactional=False, batch=False)
    return changed(description, name, consumes=(*member(description, name).consumes, more))


def scope(deployed: Description | Mapping[str, Sequence[Object]], declared: Description, *services: str) -> Scope:
    there = objects(target_of(deployed)) if isinstance(deployed, Description) else deployed
    target = target_of(declared)
    return scope_of(target, objects(target), services, there)


def named(parts: Mapping[str, Sequence[Object]], but: Sequence[str] = ()) -> list[str]:
    return sorted(str(key_of(each)) for part, made in parts.items() if part not in (NAMESPACE, *but) for each in made)


@pytest.fixture
def target(shop: Description) -> Target:
    return target_of(shop)


def test_a_service_that_needs_nothing_new_is_deployed_alone(shop: Description, target: Target) -> None:
    declared = objects(target)
    for name in [each.name for each in target.members]:
        found = scope(shop, shop, name)
        assert found.parts == {part: declared[part] for part in declared if part in (NAMESPACE, name)}
        assert found.after == declared


def test_all_of_the_system_is_what_is_declared_and_nothing_that_was_deployed_before(shop: Description) -> None:
    less = replace(shop, members=tuple(each for each in shop.members if each.name != "ads"))
    declared = objects(target_of(less))
    assert scope(shop, less) == Scope(declared, declared)
    assert "ads" not in declared


def test_a_new_call_opens_the_way_into_the_other_service_and_changes_nothing_else_of_it(shop: Description) -> None:
    # Given another service that is declared otherwise as well, and is not to be deployed
    more = changed(calling_ads(shop, "checkout"), "ads", replicas_least=7, replicas_most=9)
    # When the caller is
    found = scope(shop, more, "checkout")
    # Then the other's policy goes with it, and nothing else
    assert named(found.parts, but=["checkout"]) == ["NetworkPolicy ads"]
    policies = [each for made in found.after.values() for each in made if each["kind"] == "NetworkPolicy"]
    assert may_connect(policies, labels("checkout"), labels("ads"), 8080)
    assert not may_connect(policies, labels("cart"), labels("ads"), 8080)
    # And what is kept of it is what is deployed
    there = {key_of(each): each for each in objects(target_of(shop))["ads"]}
    kept = {key_of(each): each for each in found.after["ads"]}
    assert {key for key in kept if kept[key] != there[key]} == {key_of(*found.parts["ads"])}
    assert kept.keys() == there.keys()


def test_a_call_that_is_gone_closes_the_way_but_no_other_that_is_not_declared_any_more(shop: Description) -> None:
    # Given neither checkout nor frontend calls currency any more
    less = shop
    for name in ("checkout", "frontend"):
        calls = tuple(each for each in member(shop, name).calls if each.to != "currency")
        less = changed(less, name, calls=calls)
    # When one of them is deployed, then the other may go on
    found = scope(shop, less, "checkout")
    policies = [each for made in found.after.values() for each in made if each["kind"] == "NetworkPolicy"]
    assert not may_connect(policies, labels("checkout"), labels("currency"), 8080)
    assert may_connect(policies, labels("frontend"), labels("currency"), 8080)


def test_a_new_consumer_gets_its_account_at_the_broker_and_nobody_elses_is_changed(shop: Description) -> None:
    # Given two that consume something new, of which one is to be deployed
    both = consuming(consuming(shop, "cart", "payment-settled"), "shipping", "order-placed")
    found = scope(shop, both, "cart")
    # Then the broker has its permissions, and those of the other as they are
    before, declared = allowed(objects(target_of(shop))), allowed(objects(target_of(both)))
    after = allowed(found.after)
    assert after["cart"] == declared["cart"] != before["cart"]
    assert after["shipping"] == before["shipping"] != declared["shipping"]
    assert named(found.parts, but=["cart"]) == sorted(["StatefulSet nats", f"ConfigMap {configuration(found.after)}"])
    # And the objects are those that a deployment of everything would make: it does not start the broker again.
    assert scope(shop, consuming(shop, "cart", "payment-settled"), "cart").after == objects(
        target_of(consuming(shop, "cart", "payment-settled"))
    )


def test_a_first_event_of_a_service_brings_it_a_password_and_the_way_to_the_broker(shop: Description) -> None:
    more = changed(consuming(shop, "ads", "order-placed"), "ads", database=member(shop, "cart").database)
    found = scope(shop, more, "ads")
    assert set(found.parts) == {NAMESPACE, SETUP, POSTGRES, NATS, "ads"}
    assert named({POSTGRES: found.parts[POSTGRES]}) == ["NetworkPolicy postgres"]
    policies = [each for made in found.after.values() for each in made if each["kind"] == "NetworkPolicy"]
    for pod in ("ads", "ads-prepare"):
        assert may_connect(policies, labels(pod), labels("nats"), 4222)
        assert may_connect(policies, labels(pod), labels("postgres"), 5432)
    (server,) = [each for each in found.parts[NATS] if each["kind"] == "StatefulSet"]
    assert "PASSWORD_ADS" in {each["name"] for each in items(container_of(server), "env")}
    (document,) = [mapping(each, "data")["setup.json"] for each in found.parts[SETUP] if "data" in each]
    assert "ads" in {each.name for each in msgspec.json.decode(str(document), type=Setup).databases}
    assert found.after == objects(target_of(more))


def test_what_a_service_and_its_job_need_no_more_goes_and_nobody_elses(shop: Description) -> None:
    less = changed(shop, "email", consumes=(), database=None)
    found = scope(shop, less, "email")
    assert set(found.apps) == {"email", "email-prepare", NATS}
    there = {key_of(each) for made in objects(target_of(shop)).values() for each in made}
    gone = there - {key_of(each) for made in found.after.values() for each in made}
    assert Key("NetworkPolicy", "email-prepare") in gone
    assert all(key.name.startswith(("email", "nats-")) for key in gone)


def test_what_was_set_up_once_is_not_set_up_again(shop: Description) -> None:
    more = changed(shop, "ads", database=member(shop, "cart").database)
    there = scope(shop, more, "ads").after
    assert set(scope(there, more, "ads").parts) == {NAMESPACE, "ads"}


def test_a_database_for_more_replicas_is_set_up_for_them(shop: Description) -> None:
    more = changed(shop, "catalog", replicas_least=2, replicas_most=8)
    assert set(scope(shop, more, "catalog").parts) == {NAMESPACE, SETUP, "catalog"}


def test_the_first_service_with_an_engine_brings_the_engine(shop: Description) -> None:
    without = replace(
        shop, members=tuple(replace(each, database=None, publishes=(), consumes=()) for each in shop.members)
    )
    more = changed(without, "ads", database=member(shop, "cart").database)
    found = scope(without, more, "ads")
    assert {POSTGRES, SETUP} <= set(found.parts)
    assert found.parts[POSTGRES] == objects(target_of(more))[POSTGRES]


def labels(app: str) -> dict[str, object]:
    return {"app": app, "app.kubernetes.io/part-of": "shop"}


def configuration(parts: Mapping[str, Sequence[Object]]) -> str:
    (found,) = [each for each in parts[NATS] if NATS_FILE in mapping(each, "data")]
    return key_of(found).name


def allowed(parts: Mapping[str, Sequence[Object]]) -> dict[str, list[str]]:
    """What each account may publish, as the broker reads it."""
    (found,) = [each for each in parts[NATS] if NATS_FILE in mapping(each, "data")]
    # A variable has no quotes there, which JSON asks for.
    text = re.sub(r"\$\w+", r'"\g<0>"', str(mapping(found, "data")[NATS_FILE]).replace("$JS", "JS"))
    accounts = msgspec.json.decode(text)["authorization"]["users"]
    return {each["user"]: each["permissions"]["publish"]["allow"] for each in accounts if "permissions" in each}
