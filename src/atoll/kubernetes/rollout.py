"""How far a rollout is, and why something does not come up; decided from what the cluster tells, touching nothing."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import Key, items, key_of, mapping

State = Literal["done", "waiting", "failed"]
WATCHED = ("Deployment", "StatefulSet", "Job")

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_RESTARTS = 2
"""A container that ended so often by itself will not come up without a change."""
_FAILS_FOR = 8.0
"""Seconds: a probe that fails for less may just be early. Some ask every second, a liveness probe every ten: by
tries it would be told of much later."""
_STARTS_FOR = 12.0
"""The same of a startup probe that nobody answers yet: a program may take so long to listen."""
_SILENCE = ("connection refused", "no response")
"""What probes say then: those that ask by HTTP or TCP, and pg_isready."""


@dataclass(frozen=True, slots=True)
class Log:
    """Where the last words of a container are."""

    pod: str
    container: str
    is_previous: bool


@dataclass(frozen=True, slots=True)
class Why:
    """Why it waits. is_final: waiting longer changes nothing. log: what says more."""

    reason: str
    do: str = ""
    is_final: bool = False
    log: Log | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One workload. ready, wanted: pods."""

    key: Key
    state: State
    ready: int
    wanted: int
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster's objects of a namespace, as they were last read."""

    workloads: tuple[Object, ...] = ()
    replica_sets: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    autoscalers: tuple[Object, ...] = ()

    def workload(self, key: Key) -> Object | None:
        return next((each for each in self.workloads if key_of(each) == key), None)


def rows(seen: Seen, wanted: Iterable[Key]) -> list[Row]:
    """Of each workload that is waited for."""
    return [_row(seen, key) for key in wanted]


def waiting_apps(seen: Seen, wanted: Iterable[Key]) -> list[str]:
    """What the pods of those that are not done are labelled with, in the order of their names."""
    found = [seen.workload(row.key) for row in rows(seen, wanted) if row.state != "done"]
    labels = [mapping(each, "spec", "template", "metadata", "labels") for each in found]
    return sorted({str(each["app"]) for each in labels if "app" in each})


def _row(seen: Seen, key: Key) -> Row:
    found = seen.workload(key)
    if found is None:
        return Row(key, "waiting", 0, 1, Why("the cluster does not have it yet"))
    if key.kind == "Job":
        return _job(seen, key, found)
    count = mapping(found, "spec").get("replicas", 1)
    wanted = count if isinstance(count, int) else 1
    status = mapping(found, "status")
    ready = _number(status, "readyReplicas")
    least = _least(seen, key)
    # None at all are wanted by somebody's hand, which an autoscaler leaves alone.
    if 0 < wanted < least:
        return Row(key, "waiting", ready, least, Why(f"its autoscaler has not asked for {least} pods yet"))
    if _is_rolled_out(found, wanted):
        return Row(key, "done", ready, wanted)
    why = _why(seen, found) or Why("its pods are starting")
    return Row(key, "failed" if why.is_final else "waiting", ready, wanted, why)


def _least(seen: Seen, key: Key) -> int:
    """How many pods its autoscaler keeps at least; 0 without one."""
    specs = [mapping(each, "spec") for each in seen.autoscalers]
    ours = [
        each
        for each in specs
        if mapping(each, "scaleTargetRef").items() >= {"kind": key.kind, "name": key.name}.items()
    ]
    return max((_number(each, "minReplicas") for each in ours), default=0)


def _is_rolled_out(found: Object, wanted: int) -> bool:
    status = mapping(found, "status")
    generation = mapping(found, "metadata").get("generation", 0)
    if status.get("observedGeneration") != generation:
        return False
    if found["kind"] == "StatefulSet":
        is_new = status.get("updateRevision") == status.get("currentRevision")
        return is_new and _number(status, "readyReplicas") == wanted
    counts = {_number(status, name) for name in ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")}
    return counts == {wanted}


def _job(seen: Seen, key: Key, found: Object) -> Row:
    if is_complete(found):
        return Row(key, "done", 1, 1)
    pods = _pods_of(seen, found)
    failed = _failed(found)
    if has_given_up(found):
        reason, do = "it failed", "correct what its log names; the old version still serves"
        often = "" if has_failed(found) else f" {failed} times"
        return Row(key, "failed", 0, 1, Why(reason + often, do, True, _last_log(pods)))
    again = Why(f"it failed {failed} times, and is tried again", log=_last_log(pods))
    runs = Why("it still runs", "see what it does in its log, and give it longer with --timeout", log=_last_log(pods))
    why = (_of_pods(seen, pods) if pods else _refused(seen, found)) or (again if failed else runs)
    return Row(key, "failed" if why.is_final else "waiting", 0, 1, why)


def is_complete(job: Object) -> bool:
    conditions = {str(each.get("type")): each for each in items(job, "status", "conditions")}
    return _is_true(conditions.get("Complete")) or _is_true(conditions.get("SuccessCriteriaMet"))


def has_failed(job: Object) -> bool:
    return any(each.get("type") == "Failed" and _is_true(each) for each in items(job, "status", "conditions"))


def has_given_up(job: Object) -> bool:
    """Whether it is waited for no longer: it failed, or so often that it will not succeed without a change."""
    return not is_complete(job) and (has_failed(job) or _failed(job) > _RESTARTS)


def _failed(job: Object) -> int:
    return _number(mapping(job, "status"), "failed")


def _last_log(pods: list[Object]) -> Log | None:
    ended = [pod for pod in pods if mapping(pod, "status").get("phase") == "Failed"] or pods
    if not ended:
        return None
    newest = max(ended, key=_created)
    containers = items(newest, "spec", "containers")
    return Log(key_of(newest).name, str(containers[0]["name"]), is_previous=False) if containers else None


def _why(seen: Seen, found: Object) -> Why | None:
    conditions = items(found, "status", "conditions")
    owned = [each for each in seen.replica_sets if _is_owned(each, found)]
    newest = max(owned, key=_revision, default=None)
    for each in [*conditions, *(items(newest, "status", "conditions") if newest else [])]:
        if each.get("type") == "ReplicaFailure" and _is_true(each):
            return Why(f"its pods are refused: {each.get('message', '')}", "correct what the cluster names", True)
    pods = [each for each in _pods_of(seen, newest or found) if _is_of_newest(each, found)]
    return _of_pods(seen, pods) if pods else _refused(seen, newest or found)


def _refused(seen: Seen, owner: Object) -> Why | None:
    """Of an owner without pods, what the cluster has against them."""
    events = [each for each in _events_of(seen, owner) if each.get("reason") == "FailedCreate"]
    if not events:
        return None
    return Why(f"its pods are refused: {events[-1].get('message', '')}", "correct what the cluster names", True)


def _of_pods(seen: Seen, pods: list[Object]) -> Why | None:
    """Of the pods that are not ready, the reason that says most."""
    found = [why for pod in pods if not is_ready(pod) and (why := _of_pod(seen, pod))]
    return max(found, key=lambda why: (why.is_final, why.log is not None), default=None)


def why_not_ready(pod: Object) -> Why | None:
    """What the pod itself tells of why it does not serve; None if that is nothing."""
    return _of_pod(Seen(), pod)


def _of_pod(seen: Seen, pod: Object) -> Why | None:
    for each in items(pod, "status", "conditions"):
        if each.get("type") == "PodScheduled" and each.get("reason") == "Unschedulable":
            return Why(f"no machine has room for it: {each.get('message', '')}", "ask for less, or add machines")
    statuses = [*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses")]
    for status in statuses:
        why = _of_container(pod, status)
        if why:
            return why
    has_restarted = any(_number(status, "restartCount") for status in statuses)
    unhealthy = _failing_probe(_events_of(seen, pod), has_restarted=has_restarted)
    if unhealthy is not None:
        log = Log(key_of(pod).name, _main(pod), is_previous=False)
        return Why(f"a probe fails: {unhealthy.get('message', '')}", "see its log", log=log)
    mounts = [each for each in _events_of(seen, pod) if each.get("reason") in {"FailedMount", "FailedAttachVolume"}]
    if mounts:
        return Why(f"a volume is missing: {mounts[-1].get('message', '')}", "make it, or correct its name")
    return None


def _failing_probe(events: list[Object], *, has_restarted: bool) -> Object | None:
    """The last word of a probe that fails for longer than a program that starts lets it; by the cluster's clock."""
    failures = [each for each in events if each.get("reason") == "Unhealthy"]
    began: dict[str, float] = {}
    for each in failures:
        began[_probe_of(each)] = min(_first(each), began.get(_probe_of(each), math.inf))
    for each in reversed(failures):
        said = str(each.get("message", ""))
        is_silent = _probe_of(each) == "Startup" and any(word in said for word in _SILENCE)
        patience = _STARTS_FOR if is_silent and not has_restarted else _FAILS_FOR
        if _last(each) - began[_probe_of(each)] >= patience:
            return each
    return None


def _probe_of(event: Object) -> str:
    """Such as "Liveness": what it says begins so, or with "(combined from similar events): " before it."""
    return str(event.get("message", "")).partition(" probe ")[0].rpartition(" ")[2]


def _first(event: Object) -> float:
    return _seconds(event.get("firstTimestamp") or event.get("eventTime"))


def _last(event: Object) -> float:
    repeated = mapping(event, "series").get("lastObservedTime")
    return max(_first(event), _seconds(event.get("lastTimestamp")), _seconds(repeated))


def _seconds(time: object) -> float:
    return datetime.fromisoformat(str(time)).timestamp() if time else 0.0


def _of_container(pod: Object, status: Object) -> Why | None:
    waiting = mapping(status, "state", "waiting")
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    name, image = str(status.get("name", "")), status.get("image", "")
    if reason in _IMAGE:
        do = "push it (`atoll build --push`), or correct [images] registry and pull_secret"
        return Why(f"the image {image} can't be had: {message or reason}", do, True)
    if reason == "CreateContainerConfigError":
        return Why(f"its configuration is incomplete: {message}", "make what is missing")
    ended = mapping(status, "state", "terminated") or mapping(status, "lastState", "terminated")
    restarts = _number(status, "restartCount")
    if ended and ended.get("exitCode") != 0:
        is_final = reason == "CrashLoopBackOff" and restarts >= _RESTARTS
        log = Log(key_of(pod).name, name, is_previous=not mapping(status, "state", "terminated"))
        how = f"{name} ended with {ended.get('exitCode')} ({ended.get('reason', 'Error')})"
        said = f": {ended['message']}" if ended.get("message") else ""
        return Why(f"{how}, {restarts} restarts{said}", "correct what its last lines name", is_final, log)
    if mapping(status, "state", "running") and name == "prepared":
        return Why("its database is not prepared yet", log=Log(key_of(pod).name, name, is_previous=False))
    return None


def _is_of_newest(pod: Object, owner: Object) -> bool:
    """A StatefulSet owns the pods of its old revision as well."""
    newest = mapping(owner, "status").get("updateRevision")
    return newest is None or mapping(pod, "metadata", "labels").get("controller-revision-hash") == newest


def _pods_of(seen: Seen, owner: Object) -> list[Object]:
    return [each for each in seen.pods if _is_owned(each, owner)]


def _is_owned(each: Object, owner: Object) -> bool:
    uid = mapping(owner, "metadata").get("uid")
    return any(reference.get("uid") == uid for reference in items(each, "metadata", "ownerReferences"))


def _events_of(seen: Seen, about: Object) -> list[Object]:
    uid = mapping(about, "metadata").get("uid")
    return [each for each in seen.events if mapping(each, "involvedObject").get("uid") == uid]


def is_ready(pod: Object) -> bool:
    """Whether the cluster sends requests to it."""
    return any(each.get("type") == "Ready" and _is_true(each) for each in items(pod, "status", "conditions"))


def _is_true(condition: Object | None) -> bool:
    return condition is not None and condition.get("status") == "True"


def _main(pod: Object) -> str:
    containers = items(pod, "spec", "containers")
    return str(containers[0]["name"]) if containers else ""


def _created(made: Object) -> str:
    return str(mapping(made, "metadata").get("creationTimestamp", ""))


def _revision(replica_set: Object) -> tuple[int, str]:
    """Which the Deployment is at is the highest; one that it goes back to keeps its age and gets a new number."""
    said = str(mapping(replica_set, "metadata", "annotations").get("deployment.kubernetes.io/revision", ""))
    return int(said) if said.isdecimal() else 0, _created(replica_set)


def _number(status: Object, name: str) -> int:
    value = status.get(name, 0)
    return value if isinstance(value, int) else 0
