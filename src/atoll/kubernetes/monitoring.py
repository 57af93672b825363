"""How a Prometheus finds what runs in a cluster, and which rules it watches."""

from atoll.engines.alertmanager import Receivers
from atoll.engines.alerts import rule_file
from atoll.engines.observed import Cluster, Observed
from atoll.engines.pace import Pace
from atoll.kubernetes.names import (
    GATEWAY,
    GATEWAY_ADMIN_PORT,
    NATS,
    POSTGRES,
    Object,
    Target,
    headless,
    metadata,
    selector,
)

ENVOY_PATH = "/stats/prometheus"

_COMPONENT = "monitoring"
_STATS = "stats"
_VERSION = "monitoring.coreos.com/v1"


def observed(target: Target, scale: float = 1.0) -> Observed:
    cluster = Cluster(target.namespace, target.called, target.environment.telemetry.dashboard)
    return Observed(target.description, Pace(scale), asked(target), cluster)


def receivers(target: Target) -> Receivers:
    wanted = target.environment.monitoring
    return Receivers(wanted.page, wanted.ticket)


def scrape_configuration(target: Target) -> Object:
    """For a Prometheus of one's own: pods that are annotated, labelled as the rules expect it."""
    meta = "__meta_kubernetes_pod_"
    noted = f"{meta}annotation_prometheus_io_"
    part_of, name = f"{meta}label_app_kubernetes_io_part_of", f"{meta}label_app_kubernetes_io_name"
    return {
        "scrape_configs": [
            {
                # One file of several may be read by the same Prometheus, which wants names of their own.
                "job_name": f"{target.namespace}/{target.system}",
                "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [target.namespace]}}],
                "relabel_configs": [
                    {"source_labels": [part_of], "regex": target.system, "action": "keep"},
                    {"source_labels": [f"{noted}scrape"], "regex": "true", "action": "keep"},
                    # Whose work is done answers no more.
                    {"source_labels": [f"{meta}phase"], "regex": "Succeeded|Failed", "action": "drop"},
                    {
                        "source_labels": [f"{meta}ip", f"{noted}port"],
                        "separator": ":",
                        "target_label": "__address__",
                    },
                    {"source_labels": [f"{noted}path"], "target_label": "__metrics_path__"},
                    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                    {"source_labels": [part_of, name], "separator": "/", "target_label": "job"},
                    {"source_labels": [f"{meta}name"], "target_label": "instance"},
                ],
            }
        ]
    }


def scraped(target: Target, port: int, path: str = "/metrics") -> Object:
    """What a pod's metadata says to a Prometheus that looks for annotations."""
    if target.environment.monitoring.kind != "annotations":
        return {}
    notes = {"scrape": "true", "port": str(port), "path": path}
    return {"annotations": {f"prometheus.io/{name}": value for name, value in notes.items()}}


def asked(target: Target) -> tuple[str, ...]:
    """The engines that something asks for figures: those inside, where anybody reads figures."""
    if target.environment.monitoring.kind == "none":
        return ()
    return (*([POSTGRES] if target.runs_postgres else []), *([NATS] if target.runs_nats else []))


def watches_engines(target: Target) -> bool:
    return bool(asked(target))


def operator_objects(target: Target) -> list[Object]:
    """For the Prometheus Operator: what is read, and which rules hold. Nothing where there is none."""
    if target.environment.monitoring.kind != "operator":
        return []
    found = [_rule_object(target), _service_monitor(target)]
    return [*([_gateway_service(target)] if target.description.gateway else []), *found]


def _described(target: Target) -> Object:
    described = metadata(target, target.system, _COMPONENT)
    named = described["labels"]
    assert isinstance(named, dict)
    return {**described, "labels": {**named, **target.environment.monitoring.labels}}


def _rule_object(target: Target) -> Object:
    return {
        "apiVersion": _VERSION,
        "kind": "PrometheusRule",
        "metadata": _described(target),
        "spec": rule_file(observed(target)),
    }


def _service_monitor(target: Target) -> Object:
    meta = "__meta_kubernetes_"
    label = f"{meta}service_label_app_kubernetes_io_"
    relabelings: list[Object] = [
        {"sourceLabels": [f"{meta}namespace"], "targetLabel": "namespace"},
        {"sourceLabels": [f"{label}part_of", f"{label}name"], "separator": "/", "targetLabel": "job"},
        {"sourceLabels": [f"{meta}pod_name"], "targetLabel": "instance"},
    ]
    return {
        "apiVersion": _VERSION,
        "kind": "ServiceMonitor",
        "metadata": _described(target),
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/part-of": target.system}},
            "endpoints": [
                {"port": "admin", "path": "/metrics", "relabelings": relabelings},
                {"port": _STATS, "path": ENVOY_PATH, "relabelings": relabelings},
            ],
        },
    }


def _gateway_service(target: Target) -> Object:
    """Every pod of the gateway by itself, at a port that its Service for customers must not have."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, headless(GATEWAY), "gateway", GATEWAY),
        "spec": {
            "clusterIP": "None",
            "selector": selector(GATEWAY),
            "ports": [{"name": _STATS, "port": GATEWAY_ADMIN_PORT, "targetPort": "admin"}],
        },
    }
