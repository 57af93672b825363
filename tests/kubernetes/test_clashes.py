"""A member that would have what another has already is refused, with both."""

import pytest
from msgspec.structs import replace

from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.written import Written
from atoll.wire.description import Description
from tests.kubernetes.targets import target_of

FILE = Written("environments/production.toml")


def said(shop: Description, *names: str, **environment: object) -> list[str]:
    """Of a shop that has members more, which are asked by nobody."""
    (currency,) = [each for each in shop.members if each.name == "currency"]
    more = tuple(replace(currency, name=name) for name in names)
    wanted = target_of(replace(shop, members=shop.members + more), **environment)
    return [each.sentence for each in environment_problems(wanted, FILE)]


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("dns", "atoll itself (namespace) has already: NetworkPolicy dns"),
        ("default-deny", "atoll itself (namespace) has already: NetworkPolicy default-deny"),
        ("cart-pods", "the member 'cart' has already: Service cart-pods"),
        ("users-prepare", "the member 'users' has already: NetworkPolicy users-prepare, pods of app=users-prepare"),
        ("gateway-pods", "atoll itself (monitoring) has already: Service gateway-pods"),
        ("postgres-pods", "atoll itself (postgres) has already: Service postgres-pods"),
    ],
)
def test_a_member_has_nothing_that_another_or_atoll_itself_has(shop: Description, name: str, has: str) -> None:
    operator = {"kind": "operator"}
    (sentence,) = said(shop, name, monitoring=operator)
    assert sentence == f"the member {name!r} would have what {has}."


def test_each_member_is_told_by_itself(shop: Description) -> None:
    assert len(said(shop, "dns", "cart-pods", "cart-prepare")) == 3


def test_another_mistake_is_told_first(shop: Description) -> None:
    (sentence,) = said(shop, "dns", gateway={"tls": "My Certificate"})
    assert "gateway.tls" in sentence


def test_members_of_any_other_name_are_in_nobodys_way(shop: Description) -> None:
    assert said(shop, "pods", "prepare", "figures-of-sales", "cart-pod", "cart-services") == []
