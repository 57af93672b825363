"""While one version takes the place of another, both may do what they need; after that, only what the new one needs."""

from collections.abc import Mapping, Sequence

from atoll.kubernetes.deploy import stages
from atoll.kubernetes.names import NATS, SERVICE_PORT, Object
from atoll.kubernetes.objects import Key, items, key_of
from atoll.kubernetes.permissions import SERVER, broker_in, configuration_key
from atoll.kubernetes.render import objects
from atoll.kubernetes.transition import Transition, transition
from atoll.wire.description import Description
from tests.kubernetes.targets import container_of, target_of
from tests.kubernetes.test_networking import may_connect
from tests.kubernetes.test_scope import calling_ads, changed, consuming, labels, member

Parts = Mapping[str, Sequence[Object]]


def rendered(description: Description) -> dict[str, list[Object]]:
    return objects(target_of(description))


def between(old: Parts, new: Parts) -> Transition:
    there = {key_of(each): each for made in old.values() for each in made}
    changes = {key_of(each): there[key_of(each)] for made in new.values() for each in made if key_of(each) in there}
    read = configuration_key(there[SERVER])
    return transition(new, {**changes, read: there[read]})


def without_currency(shop: Description) -> Description:
    return changed(
        shop, "checkout", calls=tuple(each for each in member(shop, "checkout").calls if each.to != "currency")
    )


def test_a_call_that_is_gone_is_open_until_the_old_version_has_left(shop: Description) -> None:
    old, new = rendered(shop), rendered(calling_ads(without_currency(shop), "checkout"))
    found = between(old, new)
    # When everything is applied, stage by stage, then the old call is as open as the new one in each
    there = {key_of(each): each for made in old.values() for each in made}
    for stage in stages(found.parts):
        there |= {key_of(each): each for each in stage}
        assert reaches(there, "checkout", "currency")
    assert reaches(there, "checkout", "ads")
    # And nobody else gets more
    assert not reaches(there, "cart", "currency")
    # And when the old version has left, it is closed
    assert {str(key_of(each)) for each in found.narrower} == {"NetworkPolicy checkout", "NetworkPolicy currency"}
    there |= {key_of(each): each for each in found.narrower}
    assert not reaches(there, "checkout", "currency")
    assert reaches(there, "checkout", "ads")
    assert [there[key_of(each)] for made in new.values() for each in made] == [
        each for made in new.values() for each in made
    ]


def test_what_only_gets_more_or_is_as_it_was_is_applied_as_it_is(shop: Description) -> None:
    for description in (shop, calling_ads(consuming(shop, "cart", "payment-settled"), "checkout")):
        new = rendered(description)
        assert between(rendered(shop), new) == Transition(new)


def test_nothing_is_kept_of_what_is_not_there(shop: Description) -> None:
    new = rendered(without_currency(shop))
    assert transition(new, {}) == Transition(new)


def test_a_broker_whose_accounts_may_do_less_goes_on_as_it_is_until_the_old_version_has_left(shop: Description) -> None:
    old, new = rendered(shop), rendered(changed(shop, "email", consumes=()))
    found = between(old, new)
    # The very objects that are there: nothing starts again.
    before, meanwhile = broker_in(old[NATS]), broker_in(found.parts[NATS])
    assert meanwhile == before
    # Then what is declared takes their place, and what is read no more goes.
    wanted = broker_in(new[NATS])
    assert before is not None
    assert wanted is not None
    assert wanted.server in found.narrower
    assert wanted.configuration in found.parts[NATS]
    assert found.more == (key_of(before.configuration),)


def test_a_broker_whose_accounts_may_do_other_things_lets_both_versions_do_theirs(shop: Description) -> None:
    # Given that one service hears nothing any more, and another hears something new
    new = rendered(consuming(changed(shop, "email", consumes=()), "cart", "payment-settled"))
    found = between(rendered(shop), new)
    meanwhile, before, after = (broker_in(each[NATS]) for each in (found.parts, rendered(shop), new))
    assert meanwhile is not None
    assert before is not None
    assert after is not None
    # Then the broker has all of it meanwhile
    texts = (before.text, meanwhile.text, after.text)
    assert [".email-confirm" in text for text in texts] == [True, True, False]
    assert [".cart-hear" in text for text in texts] == [False, True, True]
    variables = [each["name"] for each in items(container_of(meanwhile.server), "env")]
    assert "PASSWORD_EMAIL" in variables
    # And one that nothing else reads, which goes with the old version
    assert found.more == (key_of(meanwhile.configuration),)
    assert found.more[0] not in {key_of(before.configuration), key_of(after.configuration)}
    assert [each for each in found.narrower if key_of(each) == SERVER] == [after.server]


def test_a_broker_that_was_written_in_another_way_is_brought_to_what_is_declared(shop: Description) -> None:
    old, new = rendered(shop), rendered(changed(shop, "email", consumes=()))
    (server,) = [each for each in old[NATS] if key_of(each) == SERVER]
    (there,) = [each for each in old[NATS] if key_of(each) == configuration_key(server)]
    strange = {**there, "data": {"nats.conf": "port: 4222\n"}}
    found = transition({NATS: new[NATS]}, {SERVER: server, key_of(there): strange})
    assert found == Transition({NATS: new[NATS]})


def reaches(made: Mapping[Key, Object], source: str, to: str) -> bool:
    policies = [each for each in made.values() if each["kind"] == "NetworkPolicy"]
    return may_connect(policies, labels(source), labels(to), SERVICE_PORT)
