"""Turning an autoscaler on leaves the pods that are there."""

import pytest

from atoll.kubernetes.handover import handed_over, merged
from atoll.kubernetes.names import Object


def deployment(spec: Object, manager: str = "") -> Object:
    fields: Object = {"f:spec": {f"f:{name}": {} for name in spec}}
    return {
        "kind": "Deployment",
        "metadata": {"name": "users", "managedFields": [{"manager": manager, "fieldsV1": fields}]},
        "spec": spec,
    }


def test_the_number_of_pods_that_we_name_no_more_is_handed_over_as_it_is() -> None:
    live, made = deployment({"replicas": 4, "paused": False}, "atoll"), deployment({"paused": False})
    count = handed_over(made, live)
    assert count == {"spec": {"replicas": 4}}
    assert merged(made, count)["spec"] == {"paused": False, "replicas": 4}
    assert made["spec"] == {"paused": False}


@pytest.mark.parametrize(
    ("made", "live"),
    [
        ({"replicas": 2}, deployment({"replicas": 4}, "atoll")),
        ({}, deployment({"replicas": 4}, "kube-controller-manager")),
        ({}, deployment({}, "atoll")),
        ({}, None),
    ],
    ids=["still-named", "an-autoscaler's", "not-there", "new"],
)
def test_nothing_is_handed_over_that_is_not_given_up(made: Object, live: Object | None) -> None:
    wanted = deployment(made)
    assert handed_over(wanted, live) == {}
    assert merged(wanted, {}) is wanted
