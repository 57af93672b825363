"""The pod that asks PostgreSQL and NATS for figures, where they run inside the cluster."""

import msgspec

from atoll.kubernetes.monitoring import scraped, watches_engines
from atoll.kubernetes.names import (
    ADMIN_PORT,
    DOCUMENTS,
    FIGURES,
    NATS,
    NATS_MONITOR_PORT,
    SETUP,
    Object,
    Target,
    headless,
    labels,
    metadata,
    selector,
)
from atoll.kubernetes.resolve import DATABASE_URL, from_secret
from atoll.kubernetes.setup import FIGURES_SECRET
from atoll.kubernetes.workloads import (
    CONTAINER_SECURITY,
    account,
    configuration,
    http_probe,
    mounted_map,
    pod,
    resources,
    service,
)
from atoll.model.figures import FiguresOf
from atoll.model.references import FromEnvironment

FILE = "figures.json"

_COMPONENT = "monitoring"


def figures_objects(target: Target) -> list[Object]:
    """Nothing, where nobody reads figures or all engines are elsewhere."""
    if not watches_engines(target):
        return []
    document = FiguresOf(
        listen=f"0.0.0.0:{ADMIN_PORT}",
        postgres=FromEnvironment(DATABASE_URL) if target.runs_postgres else None,
        nats=f"{NATS}:{NATS_MONITOR_PORT}" if target.runs_nats else "",
    )
    data = {FILE: msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"}
    made = configuration(target, FIGURES, FIGURES, _COMPONENT, data)
    port: Object = {"name": "admin", "port": ADMIN_PORT, "targetPort": "admin"}
    return [
        account(target, FIGURES, _COMPONENT),
        made,
        _deployment(target, made),
        service(target, headless(FIGURES), FIGURES, [port], _COMPONENT, is_headless=True),
    ]


def _deployment(target: Target, made: Object) -> Object:
    described = made["metadata"]
    assert isinstance(described, dict)
    container: Object = {
        "name": FIGURES,
        "image": target.images[SETUP],
        "args": ["figures", f"{DOCUMENTS}/{FILE}"],
        "ports": [{"name": "admin", "containerPort": ADMIN_PORT}],
        **({"env": [from_secret(DATABASE_URL, *FIGURES_SECRET)]} if target.runs_postgres else {}),
        "resources": resources("10m", "64Mi", "128Mi"),
        "startupProbe": http_probe("/health/live", "admin", period=1, failures=60),
        "livenessProbe": http_probe("/health/live", "admin", period=10, failures=3),
        "readinessProbe": http_probe("/health/live", "admin", period=2, failures=2),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "documents", "mountPath": DOCUMENTS, "readOnly": True}],
    }
    spec: Object = {
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        "volumes": [mounted_map("documents", str(described["name"]))],
    }
    template = {"labels": labels(target, FIGURES, _COMPONENT), **scraped(target, ADMIN_PORT)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(target, FIGURES, _COMPONENT),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 120,
            "selector": {"matchLabels": selector(FIGURES)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": template, "spec": pod(target, FIGURES, spec)},
        },
    }
