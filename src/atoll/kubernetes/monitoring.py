"""How a Prometheus finds what runs in a cluster, and which rules it watches."""

from atoll.engines.alertmanager import Receivers
from atoll.engines.alerts import Observed
from atoll.engines.pace import Pace
from atoll.kubernetes.names import Object, Target


def observed(target: Target, scale: float = 1.0) -> Observed:
    return Observed(target.description, Pace(scale), "cluster", target.namespace)


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
                "job_name": target.system,
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
                    {"source_labels": [part_of, name], "separator": "/", "target_label": "job"},
                    {"source_labels": [f"{meta}name"], "target_label": "instance"},
                ],
            }
        ]
    }
