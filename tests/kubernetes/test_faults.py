"""Orders to fail, which a cluster takes only where its environment allows them."""

import json

import pytest

from atoll.errors import FAULTS_NOT_ALLOWED, NO_SUCH_SERVICE, AtollError
from atoll.kubernetes.faults import chosen
from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import mapping
from atoll.kubernetes.setup import setup_document
from atoll.wire.description import Description
from tests.kubernetes.targets import container_of, find, rendered, target_of, variable

ALLOWED = {"allowed": True}


def launch_of(made: list[Object], name: str) -> dict[str, object]:
    (document,) = [
        mapping(each, "data")["launch.json"]
        for each in made
        if each["kind"] == "ConfigMap" and mapping(each, "metadata", "labels")["app"] == name
    ]
    assert isinstance(document, str)
    found: dict[str, object] = json.loads(document)
    return found


def test_by_default_nothing_listens_and_nobody_has_a_token(shop: Description) -> None:
    target = target_of(shop)
    assert launch_of(rendered(target), "payment").get("fault_token") is None
    assert "faults" not in {each.secret for each in setup_document(target).secrets}
    with pytest.raises(AtollError) as caught:
        chosen(target, ["payment"], "production")
    (problem,) = caught.value.problems
    assert problem.code == FAULTS_NOT_ALLOWED.code
    assert "environments/production.toml" in problem.do
    # Nobody allows something for a service that there is not.
    with pytest.raises(AtollError) as caught:
        chosen(target, ["bakery"], "production")
    assert [each.code for each in caught.value.problems] == [NO_SUCH_SERVICE.code]


def test_where_it_is_allowed_the_token_is_made_in_the_cluster_and_is_in_no_document(shop: Description) -> None:
    target = target_of(shop, faults=ALLOWED)
    made = rendered(target)
    assert launch_of(made, "payment")["fault_token"] == {"type": "environment", "variable": "FAULT_TOKEN"}
    reference = mapping(variable(container_of(find(made, "Deployment", "payment")), "FAULT_TOKEN"), "valueFrom")
    assert reference == {"secretKeyRef": {"name": "faults", "key": "token"}}
    assert "faults" in {each.secret for each in setup_document(target).secrets}
    assert [each.name for each in chosen(target, ["payment", "cart"], "staging")] == ["payment", "cart"]
    with pytest.raises(AtollError) as caught:
        chosen(target, ["paymnet"], "staging")
    (problem,) = caught.value.problems
    assert (problem.code, problem.has[0]) == (NO_SUCH_SERVICE.code, "payment")
