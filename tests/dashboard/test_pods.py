"""Pods of a cluster, as the map and the page of a service show them."""

from collections.abc import Mapping

import pytest

from atoll.collector.values import Edge, Figures
from atoll.dashboard.graph import Seen, graph
from atoll.dashboard.pods import processes_of_pods

NOW = 1_795_694_410.0
BEGAN = "2026-11-26T12:00:00Z"
RUNS = {"running": {"startedAt": BEGAN}}
LOOPS = {"waiting": {"reason": "CrashLoopBackOff"}}
ENDED = {"terminated": {"exitCode": 1, "reason": "Error"}}


def pod(
    name: str = "users-1",
    app: str = "users",
    component: str = "service",
    *,
    ready: bool = True,
    state: Mapping[str, object] = RUNS,
    started: bool = True,
    **status: object,
) -> dict[str, object]:
    labels = {"app": app, "app.kubernetes.io/component": component}
    container = {"name": app, "state": state, "started": started, "restartCount": 2}
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": BEGAN}]
    said = {"phase": "Running", "conditions": conditions, "containerStatuses": [container], **status}
    return {"metadata": {"name": name, "labels": labels, "creationTimestamp": BEGAN}, "status": said}


def test_a_pod_that_serves_is_a_process_that_is_ready() -> None:
    (found,) = processes_of_pods([pod()], NOW)
    assert (found.name, found.service, found.state, found.restarts, found.seconds) == (
        "users-1",
        "users",
        "ready",
        2,
        10,
    )


@pytest.mark.parametrize(
    ("told", "state", "reason"),
    [
        (pod(ready=False, state=LOOPS, started=False), "backing off", ""),
        (pod(ready=False), "unhealthy", ""),
        (pod(ready=False, started=False), "starting", ""),
        (
            pod(ready=False, started=False, initContainerStatuses=[{"name": "prepared", "state": RUNS}]),
            "preparing",
            "its database is not prepared yet",
        ),
        (pod(ready=False, state=ENDED, started=False), "starting", "users ended with 1 (Error), 2 restarts"),
    ],
)
def test_what_keeps_a_pod_from_serving_is_told(told: dict[str, object], state: str, reason: str) -> None:
    (found,) = processes_of_pods([told], NOW)
    assert (found.state, found.reason) == (state, reason)


def test_what_prepares_and_what_leaves_is_no_replica() -> None:
    leaving = pod("users-2")
    metadata = leaving["metadata"]
    assert isinstance(metadata, dict)
    metadata["deletionTimestamp"] = BEGAN
    ended = pod("users-3", phase="Succeeded")
    found = processes_of_pods([pod(), leaving, ended, pod("users-prepare-1", component="job")], NOW)
    assert [each.name for each in found] == ["users-1"]


def test_a_replica_that_only_starts_is_counted_and_no_alarm() -> None:
    edges = [Edge("gateway", "users", "call", Figures(100, 0, 1.0, 0.0, 2.0, 9.0))]
    pods = [pod(), pod("users-2", ready=False, started=False), pod("gateway-1", "gateway", "gateway")]
    nodes = {each.name: each for each in graph(Seen(edges=edges), processes_of_pods(pods, NOW)).nodes}
    users, gateway = nodes["users"].replicas, nodes["gateway"].replicas
    assert users is not None
    assert gateway is not None
    assert (users.ready, users.all, gateway.ready) == (1, 2, 1)
    assert nodes["users"].notes == ()
    loops = [pod("users-2", ready=False, state=LOOPS, started=False)]
    nodes = {each.name: each for each in graph(Seen(edges=edges), processes_of_pods(loops, NOW)).nodes}
    assert nodes["users"].notes == ("users-2 is backing off",)
