"""What others have changed is read from who manages which field."""

import pytest

from atoll.kubernetes.drift import drift
from atoll.kubernetes.names import HOLDER, MANAGER, Object

NAMED = 'k:{"name":"users"}'


def fields(**container: Object) -> Object:
    """Of a container, as the API server keeps them."""
    named: Object = {f"f:{name}": below for name, below in container.items()}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": {NAMED: {".": {}, "f:name": {}, **named}}}}}}


def deployment(container: Object, *managed: Object, **spec: object) -> Object:
    template = {"spec": {"containers": [{"name": "users", **container}]}}
    return {
        "kind": "Deployment",
        "metadata": {"name": "users", "managedFields": list(managed)},
        "spec": {"template": template, **spec},
    }


def manager(name: str, held: Object, operation: str = "Update", **more: str) -> Object:
    return {"manager": name, "operation": operation, "time": "2026-11-26T15:40:00Z", "fieldsV1": held, **more}


def ours(held: Object) -> Object:
    return manager(MANAGER, held, "Apply")


IMAGE = fields(image={})
AFTER = deployment({"image": "users:1"}, ours(IMAGE))


def test_what_is_changed_is_told_with_who_did_it_and_is_taken_back() -> None:
    live = deployment({"image": "users:2"}, ours(fields()), manager("kubectl-set", IMAGE))
    (found,) = drift(live, AFTER)
    assert found.is_taken_back
    where = "Deployment users: spec.template.spec.containers[users].image"
    assert str(found) == f"{where} was changed by kubectl-set at 2026-11-26T15:40:00Z, and is taken back"


@pytest.mark.parametrize(
    ("added", "field"),
    [
        ({"env": [{"name": "DEBUG", "value": "1"}]}, "env[DEBUG]"),
        ({"ports": [{"containerPort": 80, "protocol": "TCP"}]}, "ports[80, TCP]"),
        ({"stdin": True}, "stdin"),
    ],
)
def test_what_is_added_is_told_once_and_stays(added: Object, field: str) -> None:
    items: Object = {
        "env": {'k:{"name":"DEBUG"}': {".": {}, "f:name": {}, "f:value": {}}},
        "ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}}},
    }
    (name,) = added
    below = items.get(name, {})
    assert isinstance(below, dict)
    by_others = manager("kubectl-edit", fields(**{name: below}))
    live = deployment({"image": "users:1", **added}, ours(IMAGE), by_others)
    after = deployment({"image": "users:1", **added}, ours(IMAGE), by_others)
    (found,) = drift(live, after)
    assert not found.is_taken_back
    assert found.field == f"spec.template.spec.containers[users].{field}"
    assert str(found).endswith("and stays, for nothing declared names it")


@pytest.mark.parametrize(("is_as_deployed", "told"), [(True, ["removed"]), (False, [])])
def test_what_is_not_there_was_removed_if_it_was_declared_when_it_was_deployed(
    is_as_deployed: bool, told: list[str]
) -> None:
    variable: Object = {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}}
    after = deployment({"image": "users:1", "env": [{"name": "A", "value": "1"}]}, ours(fields(image={}, env=variable)))
    found = drift(deployment({"image": "users:1"}, ours(IMAGE)), after, is_as_deployed=is_as_deployed)
    assert [each.how for each in found] == told
    for each in found:
        where = "Deployment users: spec.template.spec.containers[users].env"
        assert str(each) == f"{where} was removed by somebody, and is taken back"


NOTES: Object = {"f:template": {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}}


@pytest.mark.parametrize(
    "entry",
    [
        manager("kube-controller-manager", {"f:spec": {"f:paused": {}}}),
        manager("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale"),
        manager("controller", {"f:spec": {"f:paused": {}}}, subresource="status"),
        manager(HOLDER, {"f:spec": {"f:replicas": {}}}, "Apply"),
        manager("kubectl-rollout", {"f:spec": NOTES}),
        manager("kubectl-annotate", {"f:metadata": {"f:annotations": {"f:team": {}}}}),
        # Of what is there no more.
        manager("kubectl-edit", {"f:spec": {"f:minReadySeconds": {}}}),
    ],
)
def test_what_is_a_controllers_or_everybodys_is_no_drift(entry: Object) -> None:
    live = deployment({"image": "users:1"}, ours(IMAGE), entry, replicas=3, paused=True)
    live["metadata"] = {**live["metadata"], "annotations": {"team": "a"}}  # type: ignore[dict-item]
    assert drift(live, {**live, "metadata": AFTER["metadata"]}) == []


def test_what_another_has_set_to_the_same_is_no_drift_when_the_declaration_changes() -> None:
    by_kubectl = manager("kubectl", IMAGE, "Apply")
    assert drift(deployment({"image": "users:0"}, ours(IMAGE), by_kubectl), AFTER) == []
