"""The gateway of a cluster answers the same table of requests as the one on a laptop."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.shop import SOURCE, Shop
from tests.system.every_gateway import EveryGateway
from tests.system.gateway_table import Callers, Gate
from tests.system.runs import copy_gated
from tests.waiting import until

PORT = 30082
PROJECT = """
[project]
name = "gated"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = ["atoll[local]"]

[tool.atoll]
system = "gated.system:system"
"""
ENVIRONMENT = f"""
[images]
registry = "atoll.test/gated"
base = "atoll-test/python:bookworm"
python = "3.11"
engines = "wheels"

[gateway]
way_in = "nodeport"
node_port = {PORT}
replicas = 1
cpu = "10m"
memory = "64Mi"

[defaults]
cpu = "10m"
memory = "64Mi"
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def callers() -> Callers:
    return Callers()


@pytest.fixture(scope="module")
def gated(cluster: Cluster, callers: Callers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The gated system, deployed; the keys of its clients are in a Secret that somebody else has made."""
    folder = copy_gated(tmp_path_factory.mktemp("gated"), callers.jwks, callers.api_keys)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "requirements.txt").write_text((SOURCE / "requirements.txt").read_text())
    (folder / "gated" / "environments" / "test.toml").write_text(ENVIRONMENT)
    cluster.docker.base("python")
    made = Shop(folder, cluster, f"http://{cluster.node_address}:{PORT}", "gated")
    made.build()
    cluster.kubectl.run("create", "namespace", "gated")
    made.kubectl.run("create", "secret", "generic", "api-keys", f"--from-literal=value={callers.api_keys}")
    made.atoll("deploy", "-e", "test")
    made.opened()
    made.kubectl.run("scale", "deployment/shut", "--replicas=0")
    until(Gate(made.url, callers).is_shut, "what is down is known to be so")
    try:
        yield made
    finally:
        made.atoll("destroy", "-e", "test", "--data", "--yes")
        cluster.kubectl.delete("namespace", "gated", wait=False)


@pytest.fixture
def gate(gated: Shop, callers: Callers) -> Gate:
    return Gate(gated.url, callers)


class TestGatewayOfACluster(EveryGateway):
    pass


def test_a_token_of_a_laptops_own_issuer_is_refused(gated: Shop, gate: Gate) -> None:
    token = gated.atoll("token", "--subject", "ada", "--scopes", "orders:write").strip()
    assert gate.send("GET", "/me", {"authorization": f"Bearer {token}"}).status == 401


def test_no_map_of_the_namespace_has_a_key_in_it(gated: Shop, callers: Callers) -> None:
    maps = json.dumps([each.get("data", {}) for each in gated.kubectl.list("configmaps")])
    assert "envoy.json" in maps
    assert callers.partner.partition(".")[2] not in maps
    assert callers.api_keys.partition("{SHA}")[2].splitlines()[0] not in maps
