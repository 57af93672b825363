"""The collector in the cluster: one pod with a volume, that may look at its namespace's pods and read their lines."""

import msgspec
from msgspec.structs import replace

from atoll.kubernetes.names import COLLECTOR, DOCUMENTS, OTLP_PORT, Object, Target, metadata
from atoll.kubernetes.objects import key_of
from atoll.kubernetes.quantities import bytes_of
from atoll.kubernetes.resolve import broker_password, broker_to, document
from atoll.kubernetes.workloads import (
    CONTAINER_SECURITY,
    account,
    configuration,
    deployment,
    http_probe,
    mounted_map,
    passing,
    pod,
    resources,
    service,
)
from atoll.model.launch import Collection, Dashboard
from atoll.model.references import Source
from atoll.wire.description import MemberData

FILE = "collection.json"
STORE = "/var/lib/atoll"
"""Where the volume with the store is."""

DASHBOARD_PORT = 8090
"""Of the pod, and on its own loopback alone: only who may forward a port to the pod gets there."""

_COMPONENT = "collector"
_ROOM = 0.8
"""Of the volume that the store may take: the rest is for what is being written, and for the file system."""


def collector_objects(target: Target) -> list[Object]:
    made = configuration(target, COLLECTOR, COLLECTOR, _COMPONENT, {FILE: collection(target)})
    ports: list[Object] = [{"name": "otlp", "port": OTLP_PORT, "targetPort": "otlp"}]
    return [
        account(target, COLLECTOR, _COMPONENT),
        *_rights(target),
        made,
        _claim(target),
        _deployment(target, made),
        service(target, COLLECTOR, COLLECTOR, ports, _COMPONENT),
    ]


def collection(target: Target, dashboard_at: str = f"127.0.0.1:{DASHBOARD_PORT}", token: Source | None = None) -> str:
    """The document that it is started with. dashboard_at, token: where pages are, and of who may look."""
    wanted = target.environment.telemetry
    found = Collection(
        system=target.system,
        listen=f"0.0.0.0:{OTLP_PORT}",
        folder=STORE,
        namespace=target.namespace if target.reads_output else "",
        kept_seconds=wanted.kept_days * 86_400.0,
        kept_bytes=int(bytes_of(wanted.storage) * _ROOM),
        dashboard=_dashboard(target, dashboard_at, token) if wanted.dashboard else None,
    )
    return document(found)


def _dashboard(target: Target, listen: str, token: Source | None) -> Dashboard:
    """With the declaration, of which nobody there could be asked; without what is this machine's alone."""
    description = target.description
    bare = replace(
        description, folder="", import_path=(), files=(), members=tuple(map(_without_places, description.members))
    )
    return Dashboard(
        listen=listen,
        token=token,
        description=msgspec.Raw(msgspec.json.encode(bare)),
        broker=broker_to(target),
        alertmanager=target.environment.monitoring.alertmanager.rstrip("/"),
        namespace=target.namespace,
    )


def _without_places(member: MemberData) -> MemberData:
    database = replace(member.database, migrations="") if member.database else None
    settings = msgspec.Raw(b"null")
    return replace(member, files=(), place="", directory="", environment={}, settings=settings, database=database)


def _rights(target: Target) -> list[Object]:
    """How pods stand, and their log lines; nothing else."""
    subject = {"kind": "ServiceAccount", "name": COLLECTOR, "namespace": target.namespace}
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata(target, COLLECTOR, _COMPONENT),
            "rules": [
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
                {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata(target, COLLECTOR, _COMPONENT),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": COLLECTOR},
            "subjects": [subject],
        },
    ]


def _claim(target: Target) -> Object:
    wanted = target.environment.telemetry
    storage_class = {"storageClassName": wanted.storage_class} if wanted.storage_class else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(target, COLLECTOR, _COMPONENT),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            **storage_class,
            "resources": {"requests": {"storage": wanted.storage}},
        },
    }


def program(target: Target) -> list[str]:
    """What runs in its container, and takes the document."""
    return ["python", "-m", "atoll.dashboard" if target.environment.telemetry.dashboard else "atoll.collector"]


def _deployment(target: Target, made: Object) -> Object:
    wanted = target.environment.telemetry
    container: Object = {
        "name": COLLECTOR,
        "image": target.images[COLLECTOR],
        "command": program(target),
        "args": [f"{DOCUMENTS}/{FILE}"],
        **({"env": [broker_password(target)]} if target.looks_at_events else {}),
        "ports": [{"name": "otlp", "containerPort": OTLP_PORT}],
        "resources": resources(wanted.cpu, wanted.memory, wanted.memory_limit, wanted.cpu_limit),
        "startupProbe": http_probe("/health/live", "otlp", period=1, failures=60),
        "livenessProbe": http_probe("/health/live", "otlp", period=10, failures=6),
        "readinessProbe": http_probe("/health/ready", "otlp", period=2, failures=2),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "documents", "mountPath": DOCUMENTS, "readOnly": True},
            {"name": "store", "mountPath": STORE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an empty volume of the pod
        ],
    }
    spec: Object = {
        # The token with which it asks for log lines.
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 15,
        "containers": [container],
        "volumes": [
            mounted_map("documents", key_of(made).name),
            {"name": "store", "persistentVolumeClaim": {"claimName": COLLECTOR}},
            passing(target, "tmp"),
        ],
    }
    # Senders keep what they have while its only pod is replaced.
    return deployment(target, COLLECTOR, _COMPONENT, pod(target, COLLECTOR, spec), keeps_files=True)
