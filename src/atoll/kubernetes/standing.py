"""How a deployed system stands: its workloads, its revision, and where it is reached; decided from what was read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from atoll.kubernetes.names import GATEWAY, Object, Target
from atoll.kubernetes.objects import Key, items, key_of, mapping
from atoll.kubernetes.rollout import Row, Seen, rows

_LASTING = ("Deployment", "StatefulSet")


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of `atoll status`. restarts: of all its pods together. image: of its first container.

    breakers: of its calls, those that are not closed, by destination.
    """

    row: Row
    restarts: int
    image: str
    breakers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """revision: 0 if none is kept. url: "" where it is not known yet, or the system has no gateway."""

    system: str
    namespace: str
    revision: int
    made: str
    note: str
    url: str
    workloads: tuple[Workload, ...]

    @property
    def is_ready(self) -> bool:
        return all(each.row.state == "done" for each in self.workloads)


def workloads(seen: Seen, system: str) -> tuple[Workload, ...]:
    """What runs of the system, engines too, and the Jobs that are not through; by name."""
    ours = [each for each in seen.workloads if _label(each, "app.kubernetes.io/part-of") == system]
    found = sorted(rows(seen, [key_of(each) for each in ours]), key=lambda row: (row.key.kind == "Job", row.key.name))
    shown = [row for row in found if row.key.kind in _LASTING or row.state != "done"]
    return tuple(_workload(seen, row) for row in shown)


def _workload(seen: Seen, row: Row) -> Workload:
    made = seen.workload(row.key)
    labels = mapping(made, "spec", "selector", "matchLabels")
    pods = [each for each in seen.pods if labels and labels.items() <= mapping(each, "metadata", "labels").items()]
    containers = items(made, "spec", "template", "spec", "containers")
    return Workload(row, sum(_restarts(pod) for pod in pods), str(containers[0]["image"]) if containers else "")


def _restarts(pod: Object) -> int:
    counts = [each.get("restartCount") for each in items(pod, "status", "containerStatuses")]
    return sum(each for each in counts if isinstance(each, int))


def url_of(target: Target, service: Object | None, nodes: Sequence[Object]) -> str:
    """Where customers find the system.

    service: of the gateway, as it is in the cluster. nodes: of the cluster, () if we may not read them.
    """
    if service is None:
        return ""
    wanted = target.environment.gateway
    scheme = "https" if wanted.tls else "http"
    kind = wanted.way_in.partition(":")[0]
    # Under no other name does it answer.
    named = next((each for each in wanted.hosts if not each.startswith("*.")), "")
    if kind == "nodeport":
        ports = items(service, "spec", "ports")
        number = next((each.get("nodePort") for each in ports if each.get("name") == scheme), None)
        host = named or next(iter(_node_addresses(nodes)), "NODE")
        return f"{scheme}://{host}:{number}" if number else ""
    if wanted.hosts:
        return f"{scheme}://{named or wanted.hosts[0]}"
    if kind == "loadbalancer":
        given = items(service, "status", "loadBalancer", "ingress")
        host = next((str(each.get("hostname") or each.get("ip")) for each in given), "")
        return f"{scheme}://{host}" if host else ""
    return ""


def gateway_key() -> Key:
    return Key("Service", GATEWAY)


def _node_addresses(nodes: Iterable[Object]) -> Iterable[str]:
    """Those from outside before those from inside."""
    for kind in ("ExternalIP", "InternalIP"):
        for node in nodes:
            for each in items(node, "status", "addresses"):
                if each.get("type") == kind:
                    yield str(each["address"])


def _label(made: Object, name: str) -> str:
    return str(mapping(made, "metadata", "labels").get(name, ""))
