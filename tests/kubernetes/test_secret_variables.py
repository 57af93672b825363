"""A variable of a program whose value is secret: named everywhere, and written nowhere."""

import msgspec
import pytest

from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.compose import render_compose, secrets_of
from atoll.kubernetes.names import Target
from atoll.kubernetes.setup import setup_document
from atoll.kubernetes.written import Written
from atoll.model.setup import Generated
from atoll.wire.description import Description
from atoll.wire.secrets import SecretData
from tests.kubernetes.targets import container_of, find, rendered, target_of, variable

FILE = Written("environments/production.toml")


@pytest.fixture
def paying(shop: Description) -> Description:
    """The shop, whose program has one."""
    secret = {"STRIPE_KEY": SecretData("stripe-key", "value")}
    members = tuple(
        msgspec.structs.replace(each, environment={"MODE": "fast"}, secret_environment=secret)
        if each.name == "recommendation"
        else each
        for each in shop.members
    )
    return msgspec.structs.replace(shop, members=members)


def told(target: Target, name: str) -> object:
    return variable(container_of(find(rendered(target), "Deployment", "recommendation")), name)


def test_a_cluster_reads_it_from_the_secret_of_its_name(paying: Description) -> None:
    target = target_of(paying)
    reference = {"secretKeyRef": {"name": "stripe-key", "key": "value"}}
    assert told(target, "STRIPE_KEY") == {"name": "STRIPE_KEY", "valueFrom": reference}
    assert told(target, "MODE") == {"name": "MODE", "value": "fast"}
    assert environment_problems(target, FILE) == []


def test_the_environment_says_where_it_comes_from(paying: Description) -> None:
    elsewhere = target_of(paying, secrets={"stripe-key": "vault"})
    reference = {"secretKeyRef": {"name": "vault", "key": "value"}}
    assert told(elsewhere, "STRIPE_KEY") == {"name": "STRIPE_KEY", "valueFrom": reference}
    assert environment_problems(elsewhere, FILE) == []
    generated = target_of(paying, secrets={"stripe-key": "generate"})
    assert Generated("stripe-key", "value") in setup_document(generated).secrets


def test_compose_asks_for_it_in_the_file_of_secrets(paying: Description) -> None:
    target = target_of(paying)
    assert "${STRIPE_KEY_VALUE:?" in render_compose(target)["compose.yaml"]
    (found,) = [each for each in secrets_of(target) if each.variable == "STRIPE_KEY_VALUE"]
    assert found.around is None, "it is to be given"


def test_an_environment_may_name_the_secret_of_any_variable(shop: Description) -> None:
    wanted = {"recommendation": {"environment": {"LICENCE": {"secret": "vendor", "key": "licence"}, "MODE": "fast"}}}
    target = target_of(shop, services=wanted)
    reference = {"secretKeyRef": {"name": "vendor", "key": "licence"}}
    assert told(target, "LICENCE") == {"name": "LICENCE", "valueFrom": reference}
    assert environment_problems(target, FILE) == []
    assert "VENDOR_LICENCE" in [each.variable for each in secrets_of(target)]


def test_plain_text_takes_the_place_of_no_secret_and_is_not_repeated(paying: Description) -> None:
    target = target_of(paying, services={"recommendation": {"environment": {"STRIPE_KEY": "sk_live_x"}}})
    (problem,) = environment_problems(target, FILE)
    assert problem.sentence.startswith("services.recommendation.environment.STRIPE_KEY is plain text")
    assert "sk_live_x" not in str(problem)
    named = {"recommendation": {"environment": {"STRIPE_KEY": {"secret": "vault", "key": "stripe"}}}}
    assert environment_problems(target_of(paying, services=named), FILE) == []


def test_what_no_secret_can_be_called_is_told(shop: Description) -> None:
    wanted = {"recommendation": {"environment": {"LICENCE": {"secret": "Vendor", "key": "a b"}}}}
    (problem,) = environment_problems(target_of(shop, services=wanted), FILE)
    assert problem.sentence.startswith("services.recommendation.environment.LICENCE names")
