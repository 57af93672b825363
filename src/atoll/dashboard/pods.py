"""How the pods of a cluster stand, in the words of a run on one machine. Touches nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from atoll.engines.envoy import NAME as ENVOY
from atoll.kubernetes.names import GATEWAY, Object
from atoll.kubernetes.objects import items, key_of, mapping
from atoll.kubernetes.rollout import is_ready, why_not_ready
from atoll.supervisor.state import State
from atoll.supervisor.status import ProcessStatus

_JOB = "job"
_BACKS_OFF = "CrashLoopBackOff"


def processes_of_pods(pods: Sequence[Mapping[str, object]], now: float) -> tuple[ProcessStatus, ...]:
    """Those that serve or shall: not what prepares something and ends, and not what was told to go.

    pods: items of a list of the API. now: seconds since 1970.
    """
    found: list[Object] = [{**each, "kind": "Pod"} for each in pods]
    lasting = [
        each
        for each in found
        if _label(each, "app.kubernetes.io/component") != _JOB
        and "deletionTimestamp" not in mapping(each, "metadata")
        and mapping(each, "status").get("phase") not in ("Succeeded", "Failed")
    ]
    return tuple(sorted((_process(each, now) for each in lasting), key=lambda each: each.name))


def _process(pod: Object, now: float) -> ProcessStatus:
    app = _label(pod, "app")
    state = _state(pod)
    why = None if state == "ready" else why_not_ready(pod)
    restarts = sum(_restarts(each) for each in items(pod, "status", "containerStatuses"))
    kind = "engine" if _label(pod, "app.kubernetes.io/component") == "engine" else "service"
    return ProcessStatus(
        name=key_of(pod).name,
        service=ENVOY if app == GATEWAY else app,
        kind=kind,
        state=state,
        reason=why.reason if why else "",
        restarts=restarts,
        seconds=_seconds(pod, now),
    )


def _state(pod: Object) -> State:
    """As readiness and containers tell it."""
    if is_ready(pod):
        return "ready"
    containers = items(pod, "status", "containerStatuses")
    if any(mapping(each, "state", "waiting").get("reason") == _BACKS_OFF for each in containers):
        return "backing off"
    if any(mapping(each, "state", "running") for each in items(pod, "status", "initContainerStatuses")):
        return "preparing"
    was_up = containers and all(each.get("started") is True for each in containers)
    return "unhealthy" if was_up else "starting"


def _seconds(pod: Object, now: float) -> float:
    """Since it became ready or ceased to be; since it was made where nobody has said so."""
    ready = [each for each in items(pod, "status", "conditions") if each.get("type") == "Ready"]
    said = ready[0].get("lastTransitionTime") if ready else None
    since = said or mapping(pod, "metadata").get("creationTimestamp")
    try:
        return max(now - datetime.fromisoformat(str(since)).timestamp(), 0.0)
    except ValueError:
        return 0.0


def _restarts(status: Object) -> int:
    count = status.get("restartCount")
    return count if isinstance(count, int) else 0


def _label(pod: Object, name: str) -> str:
    return str(mapping(pod, "metadata", "labels").get(name, ""))
