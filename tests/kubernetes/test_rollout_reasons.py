"""Why something does not come up, from what the cluster tells."""

from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import Key
from atoll.kubernetes.rollout import Log, Seen, rows

PAYMENT = Key("Deployment", "payment")


def replica_set(uid: str, revision: int, created: str) -> Object:
    notes = {"deployment.kubernetes.io/revision": str(revision)}
    owner = [{"uid": "deployment"}]
    times = {"creationTimestamp": f"2026-01-01T{created}Z"}
    return {"kind": "ReplicaSet", "metadata": {"uid": uid, "annotations": notes, "ownerReferences": owner, **times}}


def pod(owner: str, message: str) -> Object:
    lacks = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"kind": "Pod", "metadata": {"ownerReferences": [{"uid": owner}]}, "status": {"conditions": [lacks]}}


def test_the_pods_of_a_version_that_is_gone_back_to_tell_why_it_does_not_come_up() -> None:
    # Given a Deployment that takes up an older version again: its ReplicaSet is older, and has the newest number
    deployment: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "payment", "uid": "deployment", "generation": 3},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 3, "readyReplicas": 1},
    }
    sets = (replica_set("again", 3, "10:00:00"), replica_set("before", 2, "11:00:00"))
    pods = (pod("before", "of before"), pod("again", "Insufficient cpu"))
    # When it is looked at
    (row,) = rows(Seen(workloads=(deployment,), replica_sets=sets, pods=pods), [PAYMENT])
    # Then what keeps its own pods is told
    assert row.state == "waiting"
    assert row.why is not None
    assert row.why.reason == "no machine has room for it: Insufficient cpu"


def test_a_job_that_hangs_is_told_with_its_log_and_not_called_failed() -> None:
    # Given a Job whose pod runs, and says nothing more
    named = {"name": "cart-prepare-1", "uid": "job"}
    job: Object = {"apiVersion": "batch/v1", "kind": "Job", "metadata": named, "status": {"active": 1}}
    running = {"name": "prepare", "state": {"running": {}}, "restartCount": 0}
    hanging: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cart-prepare-1-x", "ownerReferences": [{"uid": "job"}]},
        "spec": {"containers": [{"name": "prepare"}]},
        "status": {"phase": "Running", "containerStatuses": [running]},
    }
    # When it is looked at
    (row,) = rows(Seen(workloads=(job,), pods=(hanging,)), [Key("Job", "cart-prepare-1")])
    # Then who waits knows that it runs, where its last words are, and how to give it longer
    assert row.state == "waiting"
    assert row.why is not None
    assert row.why.reason == "it still runs"
    assert row.why.log == Log("cart-prepare-1-x", "prepare", is_previous=False)
    assert "--timeout" in row.why.do
