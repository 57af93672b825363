"""Each way in, and everything else that is rendered, as the API server judges it; nothing of it is kept."""

from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.shop import Shop

# Ports of the part that the API server gives to nobody by itself.
WAYS = {
    "loadbalancer": 'way_in = "loadbalancer"\ntls = "certificate"',
    "internal": (
        'load_balancer_class = "service.k8s.aws/nlb"\nsource_ranges = ["10.0.0.0/8"]\ncpu_limit = "1500m"\n'
        'annotations = { "service.beta.kubernetes.io/aws-load-balancer-scheme" = "internal" }'
    ),
    "nodeport": 'way_in = "nodeport"\nnode_port = 30083\ntls_node_port = 30084\ntls = "certificate"',
    "ingress": 'way_in = "ingress:contour"\nhosts = ["shop.example.com"]\ntls = "certificate"',
    "httproute": 'way_in = "httproute"\nparent = "infra/public"\nhosts = ["shop.example.com"]',
}
KINDS = {"ingress": "networking.k8s.io", "httproute": "gateway.networking.k8s.io"}
# What is the API server's to say, beside the schemas: Pod Security's warnings, unknown and doubled fields.
STRICT = ("--dry-run=server", "--server-side", "--validate=strict", "--warnings-as-errors")


@pytest.fixture(scope="module")
def project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop.copied(tmp_path_factory.mktemp("ways") / "shop", cluster, "")


@pytest.mark.parametrize("way", WAYS)
def test_the_api_server_takes_all_that_is_rendered_without_a_warning(
    project: Shop, kubectl: Kubectl, tmp_path: Path, way: str
) -> None:
    # Given a namespace of the level restricted
    for mode in ("enforce", "warn"):
        kubectl.run("label", "namespace", kubectl.namespace, f"pod-security.kubernetes.io/{mode}=restricted")
    # When a system for it is rendered with this way in
    old = 'way_in = "nodeport"\nnode_port = 30080'
    project.environment(way, old=old, new=WAYS[way], more=f'\n[cluster]\nnamespace = "{kubectl.namespace}"\n')
    project.atoll("render", "kubernetes", "-e", way, "--output", str(tmp_path))
    # Then each object is taken as it is
    objects = [path for path in sorted(tmp_path.glob("*.yaml")) if path.stem != "kustomization"]
    files = [f"--filename={path}" for path in objects]
    said = kubectl.run("apply", *STRICT, *files)
    assert "deployment.apps/checkout serverside-applied (server dry run)" in said
    if way in KINDS:
        assert f"{way}.{KINDS[way]}/gateway serverside-applied" in said


def test_the_api_server_takes_what_the_prometheus_operator_is_given(
    project: Shop, kubectl: Kubectl, tmp_path: Path
) -> None:
    more = f'\n[cluster]\nnamespace = "{kubectl.namespace}"\n[monitoring]\nkind = "operator"\n'
    free = {"old": "node_port = 30080", "new": "node_port = 30083"}
    project.environment("operator", **free, more=more + 'labels = { release = "prometheus" }\n')
    project.atoll("render", "kubernetes", "-e", "operator", "--output", str(tmp_path))
    files = [f"--filename={tmp_path / name}.yaml" for name in ("monitoring", "figures", "setup", "gateway")]
    said = kubectl.run("apply", *STRICT, *files)
    for made in (
        "prometheusrule.monitoring.coreos.com/shop",
        "servicemonitor.monitoring.coreos.com/shop",
        "service/gateway-pods",
        "deployment.apps/figures",
    ):
        assert f"{made} serverside-applied (server dry run)" in said
