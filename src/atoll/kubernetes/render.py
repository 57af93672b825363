"""The whole system as files of objects: the same declaration and environment give the same bytes."""

from collections.abc import Mapping

from atoll.errors import OBJECT_TOO_LARGE, AtollError
from atoll.kubernetes.collector import collector_objects
from atoll.kubernetes.engines import nats_objects, postgres_objects
from atoll.kubernetes.figures import figures_objects
from atoll.kubernetes.gateway import gateway_objects
from atoll.kubernetes.monitoring import operator_objects
from atoll.kubernetes.names import (
    COLLECTOR,
    FIGURES,
    GATEWAY,
    KUSTOMIZATION,
    MONITORING,
    NAMESPACE,
    NATS,
    POSTGRES,
    RENDERED,
    SETUP,
    Object,
    Target,
)
from atoll.kubernetes.networking import around, edges, namespace_policies, policy_objects, preparing
from atoll.kubernetes.objects import mapping
from atoll.kubernetes.setup import namespace_object, setup_objects
from atoll.kubernetes.text import yaml
from atoll.kubernetes.workloads import service_objects

MOST_CONTENT = 1 << 20
"""Bytes that the API server takes in one ConfigMap."""


def objects(target: Target) -> dict[str, list[Object]]:
    """By part, in the order to apply them. Raises AtollError OBJECT_TOO_LARGE."""
    parts = parts_of(target)
    _refuse_large(parts)
    return parts


def parts_of(target: Target) -> dict[str, list[Object]]:
    """The namespace, what prepares it, engines, services, the gateway; whatever their size."""
    by_app = around(edges(target))

    def policies(app: str) -> list[Object]:
        return policy_objects(target, by_app.get(app, ()), app)

    parts: dict[str, list[Object]] = {NAMESPACE: [namespace_object(target), *namespace_policies(target)]}
    setup = setup_objects(target)
    if setup:
        parts[SETUP] = [*policies(SETUP), *setup]
    if target.runs_postgres:
        parts[POSTGRES] = [*policies(POSTGRES), *postgres_objects(target)]
    if target.runs_nats:
        parts[NATS] = [*policies(NATS), *nats_objects(target)]
    figures = figures_objects(target)
    if figures:
        parts[FIGURES] = [*policies(FIGURES), *figures]
    if target.environment.telemetry.collector:
        parts[COLLECTOR] = [*policies(COLLECTOR), *collector_objects(target)]
    for member in target.members:
        parts[member.name] = [
            *policies(member.name),
            *policies(preparing(member)),
            *service_objects(target, member),
        ]
    if target.description.gateway:
        parts[GATEWAY] = [*policies(GATEWAY), *gateway_objects(target)]
    operator = operator_objects(target)
    if operator:
        parts[MONITORING] = operator
    return parts


def _refuse_large(parts: Mapping[str, list[Object]]) -> None:
    """Raises AtollError OBJECT_TOO_LARGE, once for each that no cluster would take."""
    maps = [each for part in parts.values() for each in part if each["kind"] == "ConfigMap"]
    sizes = {str(mapping(each, "metadata")["name"]): content_size(each) for each in maps}
    found = {name: size for name, size in sizes.items() if size > MOST_CONTENT}
    if found:
        problems = (OBJECT_TOO_LARGE.at(name=name, size=size, most=MOST_CONTENT) for name, size in found.items())
        raise AtollError(*problems)


def content_size(made: Object) -> int:
    """Bytes of what a ConfigMap holds."""
    return sum(len(str(each).encode()) for each in mapping(made, "data").values())


def render(target: Target) -> Mapping[str, str]:
    """Files by name: one a part, and what `kubectl apply -k` begins with."""
    files = {f"{part}.yaml": yaml(each) for part, each in objects(target).items()}
    kustomization: Object = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(files),
    }
    written = yaml([kustomization]).removeprefix("---\n")
    files[f"{KUSTOMIZATION}.yaml"] = f"{RENDERED} kubernetes`.\n{written}"
    return files
