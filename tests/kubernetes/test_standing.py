"""How a deployed system stands is decided from the objects that the cluster tells."""

import pytest

from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import Key
from atoll.kubernetes.rollout import Seen, rows, waiting_apps
from atoll.kubernetes.standing import url_of, workloads
from atoll.wire.description import Description
from tests.kubernetes.targets import target_of

LABELS = {"app": "users", "app.kubernetes.io/part-of": "shop"}


def deployment(ready: int, *, wanted: int = 2, generation: int = 3, system: str = "shop") -> Object:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), ready)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "users",
            "uid": "d",
            "generation": generation,
            "labels": {**LABELS, "app.kubernetes.io/part-of": system},
        },
        "spec": {
            "replicas": wanted,
            "selector": {"matchLabels": {"app": "users"}},
            "template": {"spec": {"containers": [{"name": "users", "image": "r/users:1"}]}},
        },
        "status": {"observedGeneration": 3, **counts},
    }


def pod(name: str, status: Object, owner: str = "d") -> Object:
    described = {"name": name, "uid": name, "labels": LABELS, "ownerReferences": [{"uid": owner}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": described,
        "spec": {"containers": [{"name": "users"}]},
        "status": status,
    }


def container(state: Object, restarts: int = 0, last: Object | None = None) -> Object:
    return {
        "containerStatuses": [
            {"name": "users", "image": "r/users:1", "restartCount": restarts, "state": state, "lastState": last or {}}
        ]
    }


def event(about: str, reason: str, message: str, lasts: int = 0, first: int = 0) -> Object:
    """lasts: seconds since the first of its kind, which was at second `first`."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {"uid": about},
        "reason": reason,
        "message": message,
        "firstTimestamp": f"2026-01-01T10:00:{first:02}Z",
        "lastTimestamp": f"2026-01-01T10:00:{first + lasts:02}Z",
    }


def test_what_is_rolled_out_is_done_and_its_restarts_are_counted() -> None:
    seen = Seen((deployment(2),), pods=(pod("a", container({}, 1)), pod("b", container({}, 2))))
    (found,) = workloads(seen, "shop")
    assert (found.row.state, found.row.ready, found.restarts, found.image) == ("done", 2, 3, "r/users:1")


def test_a_version_that_the_cluster_has_not_looked_at_yet_is_not_done() -> None:
    (found,) = workloads(Seen((deployment(2, generation=4),)), "shop")
    assert found.row.state == "waiting"


def test_what_belongs_to_another_system_is_not_shown() -> None:
    assert workloads(Seen((deployment(2, system="other"),)), "shop") == ()


UNSCHEDULABLE: Object = {
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}
    ]
}
ENDED: Object = {"terminated": {"exitCode": 1, "reason": "Error"}}
REFUSED = "dial tcp 198.18.0.5:8081: connect: connection refused"
REASONS = {
    "image": (
        container({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
        (),
        "failed",
        "the image r/users:1 can't be had: not found",
    ),
    "crash": (
        container({"waiting": {"reason": "CrashLoopBackOff"}}, 2, ENDED),
        (),
        "failed",
        "users ended with 1 (Error), 2 restarts",
    ),
    "first crash": (container(ENDED, 0), (), "waiting", "users ended with 1 (Error), 0 restarts"),
    "unschedulable": (UNSCHEDULABLE, (), "waiting", "no machine has room for it: 0/1 nodes: Insufficient cpu"),
    "probe": (
        container({"running": {}}),
        (event("p", "Unhealthy", "Readiness probe failed: 500", 8),),
        "waiting",
        "a probe fails: Readiness probe failed: 500",
    ),
    "early probe": (
        container({"running": {}}),
        (event("p", "Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 404", 7),),
        "waiting",
        "its pods are starting",
    ),
    "startup probe": (
        container({"running": {}}),
        (event("p", "Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 404", 8),),
        "waiting",
        "a probe fails: Startup probe failed: HTTP probe failed with statuscode: 404",
    ),
    "dying": (
        container({"running": {}}),
        # It is asked every ten seconds: the second failure is the first that lasts.
        (event("p", "Unhealthy", "Liveness probe failed: 500", 10),),
        "waiting",
        "a probe fails: Liveness probe failed: 500",
    ),
    "changing": (
        container({"running": {}}),
        (
            event("p", "Unhealthy", "Readiness probe failed: 500", 4, first=0),
            event("p", "Unhealthy", "(combined from similar events): Readiness probe failed: 503", 2, first=6),
        ),
        "waiting",
        "a probe fails: (combined from similar events): Readiness probe failed: 503",
    ),
    "one of each": (
        container({"running": {}}),
        (
            event("p", "Unhealthy", "Startup probe failed: 500", first=0),
            event("p", "Unhealthy", "Readiness probe failed: 500", first=9),
        ),
        "waiting",
        "its pods are starting",
    ),
    "starting": (
        container({"running": {}}),
        (event("p", "Unhealthy", f"Startup probe failed: {REFUSED}", 11),),
        "waiting",
        "its pods are starting",
    ),
    "deaf": (
        container({"running": {}}),
        (event("p", "Unhealthy", f"Startup probe failed: {REFUSED}", 12),),
        "waiting",
        f"a probe fails: Startup probe failed: {REFUSED}",
    ),
    "deaf again": (
        container({"running": {}}, 1),
        (event("p", "Unhealthy", f"Startup probe failed: {REFUSED}", 8),),
        "waiting",
        f"a probe fails: Startup probe failed: {REFUSED}",
    ),
    "deaf later": (
        container({"running": {}}),
        (event("p", "Unhealthy", f"Readiness probe failed: {REFUSED}", 8),),
        "waiting",
        f"a probe fails: Readiness probe failed: {REFUSED}",
    ),
    "configuration": (
        container({"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}),
        (),
        "waiting",
        'its configuration is incomplete: secret "x" not found',
    ),
    "volume": (
        container({"waiting": {"reason": "ContainerCreating"}}),
        (event("p", "FailedMount", "no such claim"),),
        "waiting",
        "a volume is missing: no such claim",
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_of_a_pod_is_that_of_its_deployment(name: str) -> None:
    status, events, state, reason = REASONS[name]
    seen = Seen((deployment(0),), pods=(pod("p", status),), events=events)
    (row,) = rows(seen, [Key("Deployment", "users")])
    assert row.why
    assert (row.state, row.why.reason) == (state, reason)


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_an_owner_whose_pods_are_refused_says_why(kind: str) -> None:
    owner = {**deployment(0), "kind": kind}
    seen = Seen((owner,), events=(event("d", "FailedCreate", "exceeded quota: few"),))
    (row,) = rows(seen, [Key(kind, "users")])
    assert row.why
    assert (row.state, row.why.reason) == ("failed", "its pods are refused: exceeded quota: few")


def test_only_pods_of_those_that_are_not_done_are_looked_at() -> None:
    labelled = {"template": {"metadata": {"labels": {"app": "users"}}}}
    keys = [Key("Deployment", "users"), Key("Deployment", "gone")]
    for ready, waiting in ((1, ["users"]), (2, [])):
        found = deployment(ready)
        found["spec"] = {**found["spec"], **labelled}  # type: ignore[dict-item]
        assert waiting_apps(Seen((found,)), keys) == waiting


def autoscaler(least: int, name: str = "users") -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {"kind": "HorizontalPodAutoscaler", "spec": {"scaleTargetRef": target, "minReplicas": least}}


@pytest.mark.parametrize(
    ("wanted", "scaled", "state"),
    [
        (2, autoscaler(4), "waiting"),
        (4, autoscaler(4), "done"),
        (2, autoscaler(4, "cart"), "done"),
        # Scaled to nothing by hand, which turns the autoscaler off.
        (0, autoscaler(4), "done"),
    ],
)
def test_a_deployment_is_done_when_it_has_the_pods_that_its_autoscaler_keeps_at_least(
    wanted: int, scaled: Object, state: str
) -> None:
    seen = Seen((deployment(wanted, wanted=wanted),), autoscalers=(scaled,))
    (row,) = rows(seen, [Key("Deployment", "users")])
    assert (row.state, row.wanted) == (state, 4 if state == "waiting" else wanted)


NODES: list[Object] = [{"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}}]
GIVEN: Object = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}}
PORTS: Object = {"spec": {"ports": [{"name": "http", "nodePort": 30080}, {"name": "https", "nodePort": 30443}]}}


@pytest.mark.parametrize(
    ("gateway", "service", "nodes", "url"),
    [
        ({"way_in": "nodeport"}, PORTS, NODES, "http://192.0.2.7:30080"),
        ({"way_in": "nodeport", "tls": "certificate"}, PORTS, NODES, "https://192.0.2.7:30443"),
        ({"way_in": "nodeport"}, PORTS, [], "http://NODE:30080"),
        ({"way_in": "nodeport", "hosts": ["*.a.example", "b.example"]}, PORTS, NODES, "http://b.example:30080"),
        ({"way_in": "loadbalancer", "hosts": ["*.a.example", "b.example"]}, GIVEN, [], "http://b.example"),
        ({"way_in": "loadbalancer"}, GIVEN, [], "http://203.0.113.9"),
        ({"way_in": "loadbalancer"}, {}, [], ""),
        ({"way_in": "ingress:contour", "hosts": ["shop.example.com"], "tls": "c"}, {}, [], "https://shop.example.com"),
        ({"way_in": "nodeport"}, None, NODES, ""),
    ],
)
def test_where_customers_find_a_system_follows_from_its_way_in(
    shop: Description, gateway: Object, service: Object | None, nodes: list[Object], url: str
) -> None:
    assert url_of(target_of(shop, gateway=gateway), service, nodes) == url
