"""A system at its most replicas, in the middle of a rollout, is refused no connection to PostgreSQL."""

import re

import pytest
import yaml

from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.compose import render_compose
from atoll.kubernetes.engines import postgres_files
from atoll.kubernetes.names import Target
from atoll.kubernetes.objects import mapping
from atoll.kubernetes.quantities import bytes_of
from atoll.kubernetes.setup import setup_document
from atoll.kubernetes.written import Written
from atoll.wire.description import Description
from tests.kubernetes.targets import container_of, find, rendered, target_of

FILE = Written("environments/production.toml")
BESIDE = 2
"""Of a replica beside its pool: its leader's, and that of the keys at work."""


def server_takes(target: Target) -> int:
    found = re.search(r"^max_connections = (\d+)$", postgres_files(target)["postgresql.conf"], re.MULTILINE)
    assert found
    return int(found[1])


def roles(target: Target) -> dict[str, int]:
    return {each.name: each.connections for each in setup_document(target).databases}


def test_each_role_may_open_what_its_pools_open_while_old_pods_leave(shop: Description) -> None:
    target = target_of(shop)
    for member in target.members:
        if member.database:
            _, most = target.replicas(member)
            old_and_new = 2 * most * (member.database.connections + BESIDE)
            assert roles(target)[member.name] > old_and_new, member.name


def test_the_server_takes_what_all_roles_may_open_and_some_more(shop: Description) -> None:
    target = target_of(shop)
    assert server_takes(target) >= sum(roles(target).values()) + 10


def test_more_replicas_and_larger_pools_are_counted_and_less_than_all_is_not(shop: Description) -> None:
    before, after = target_of(shop), target_of(shop, services={"checkout": {"replicas": [2, 40]}})
    assert roles(after)["checkout"] > 3 * roles(before)["checkout"]
    assert roles(after)["cart"] == roles(before)["cart"]
    assert server_takes(after) >= sum(roles(after).values())


def test_a_replica_more_does_not_restart_the_server(shop: Description) -> None:
    few = {"checkout": {"replicas": 1}, "cart": {"replicas": 1}, "catalog": {"replicas": 1}}
    one_more = {**few, "cart": {"replicas": 2}}
    assert server_takes(target_of(shop, services=few)) == server_takes(target_of(shop, services=one_more))


def test_a_role_elsewhere_may_open_as_many(shop: Description) -> None:
    elsewhere = target_of(shop, engines={"postgres": {"secret": "managed"}})
    here = {name: most for name, most in roles(target_of(shop)).items() if name != "figures"}
    assert roles(elsewhere) == here


def test_memory_that_is_not_given_has_room_for_every_connection_in_pods_and_in_compose(shop: Description) -> None:
    many = target_of(shop, services={"checkout": {"replicas": [2, 100]}})
    server = container_of(find(rendered(many), "StatefulSet", "postgres"))
    limit = str(mapping(server, "resources", "limits")["memory"])
    # Measured: 1.75 MiB of its own for a connection that has asked some small questions.
    assert bytes_of(limit) > 100 * 12 * 1.75 * 2**20
    written = yaml.safe_load(render_compose(many)["compose.yaml"])
    assert written["services"]["postgres"]["mem_limit"] == limit.replace("Mi", "m")
    assert environment_problems(many, FILE) == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"engines": {"postgres": {"memory_limit": "512Mi"}}}, ("memory_limit", "checkout", "services.checkout")),
        ({"services": {"cart": {"replicas": [1, 1000]}}}, ("24", "cart", "services.cart.replicas")),
    ],
)
def test_what_no_server_could_serve_is_told_with_its_service_and_its_number(
    shop: Description, environment: dict[str, object], said: tuple[str, ...]
) -> None:
    (problem,) = environment_problems(target_of(shop, **environment), FILE)
    assert problem.code == "ATL5001"
    assert all(each in f"{problem.sentence} {problem.do}" for each in said), str(problem)


def test_a_server_elsewhere_is_not_asked_for_memory(shop: Description) -> None:
    wanted = {"engines": {"postgres": {"secret": "managed", "memory_limit": "512Mi"}}}
    assert environment_problems(target_of(shop, **wanted), FILE) == []
