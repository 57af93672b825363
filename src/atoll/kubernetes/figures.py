"""The pod that asks PostgreSQL and NATS for figures, where they run inside the cluster."""

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
)
from atoll.kubernetes.objects import key_of
from atoll.kubernetes.resolve import DATABASE_URL, document, from_secret
from atoll.kubernetes.setup import FIGURES_SECRET
from atoll.kubernetes.workloads import (
    CONTAINER_SECURITY,
    account,
    configuration,
    deployment,
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
    wanted = FiguresOf(
        listen=f"0.0.0.0:{ADMIN_PORT}",
        postgres=FromEnvironment(DATABASE_URL) if target.runs_postgres else None,
        nats=f"{NATS}:{NATS_MONITOR_PORT}" if target.runs_nats else "",
    )
    made = configuration(target, FIGURES, FIGURES, _COMPONENT, {FILE: document(wanted)})
    port: Object = {"name": "admin", "port": ADMIN_PORT, "targetPort": "admin"}
    return [
        account(target, FIGURES, _COMPONENT),
        made,
        _deployment(target, made),
        service(target, headless(FIGURES), FIGURES, [port], _COMPONENT, is_headless=True),
    ]


def _deployment(target: Target, made: Object) -> Object:
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
        "volumes": [mounted_map("documents", key_of(made).name)],
    }
    notes = scraped(target, ADMIN_PORT)
    return deployment(target, FIGURES, _COMPONENT, pod(target, FIGURES, spec), notes=notes)
