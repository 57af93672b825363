"""Kubernetes objects as values: their kinds, their keys, and what lies in them."""

from collections.abc import Mapping
from dataclasses import dataclass

from atoll.kubernetes.names import Object


@dataclass(frozen=True, slots=True)
class Kind:
    """Where the API keeps the objects of a kind. version: such as "apps/v1". is_added: not every cluster has it."""

    version: str
    kind: str
    plural: str
    namespaced: bool = True
    is_added: bool = False


KINDS = (
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "Node", "nodes", namespaced=False),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Secret", "secrets"),
    Kind("v1", "Service", "services"),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("v1", "Pod", "pods"),
    Kind("v1", "Event", "events"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("apps/v1", "ReplicaSet", "replicasets"),
    Kind("apps/v1", "StatefulSet", "statefulsets"),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("coordination.k8s.io/v1", "Lease", "leases"),
    Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", is_added=True),
    Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", is_added=True),
    Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors", is_added=True),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
)
_BY_NAME: Mapping[str, Kind] = {each.kind: each for each in KINDS}


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which object: its kind, and its name in the namespace."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def key_of(made: Object) -> Key:
    return Key(str(made["kind"]), str(mapping(made, "metadata")["name"]))


def mapping(value: object, *path: str) -> Object:
    """What lies at the path in an object, {} where nothing does."""
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def items(value: object, *path: str) -> list[Object]:
    """The list of objects at the path, [] where there is none."""
    found = mapping(value, *path[:-1]).get(path[-1])
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def kind_of(name: str) -> Kind:
    return _BY_NAME[name]


def path_of(key: Key, namespace: str) -> str:
    """Where the API has the object; of all of its kind, if the key has no name."""
    kind = _BY_NAME[key.kind]
    root = "/api" if "/" not in kind.version else "/apis"
    place = f"/namespaces/{namespace}" if kind.namespaced else ""
    return f"{root}/{kind.version}{place}/{kind.plural}" + (f"/{key.name}" if key.name else "")
