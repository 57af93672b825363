"""kubectl alone applies what is rendered; doing it again changes nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.shop import SOURCE, Shop

KINDS = "statefulset,deployment,poddisruptionbudget,service,job,configmap,networkpolicy,serviceaccount,role,rolebinding"
# Its autoscaler says how many pods it has, when it likes.
SCALED = ("Deployment", "catalog")
# kubectl names their selector in each patch, and the API server finds that it says nothing new.
NAMED_EACH_TIME = "poddisruptionbudget.policy/"


@pytest.fixture
def rendered(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> Path:
    """The boutique for the namespace of the test, with images that are nowhere: no pod of it starts."""
    shutil.copytree(SOURCE, tmp_path / "shop", ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    shop = Shop(tmp_path / "shop", cluster, "")
    name = shop.environment(
        "nowhere", old='registry = "atoll.test/shop"', new='registry = "nowhere.test"\npull = "Never"'
    )
    file = shop.folder / "shop" / "environments" / f"{name}.toml"
    text = file.read_text().replace("node_port = 30080\n", "")
    file.write_text(f'[cluster]\nnamespace = "{kubectl.namespace}"\n{text}')
    shop.atoll("render", "kubernetes", "-e", name, "--output", str(tmp_path / "rendered"))
    return tmp_path / "rendered"


def test_what_is_applied_again_on_the_servers_side_changes_no_object(kubectl: Kubectl, rendered: Path) -> None:
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", rendered)
    before = stored(kubectl)
    assert {("StatefulSet", "postgres"), ("PodDisruptionBudget", "users"), ("Deployment", "gateway")} <= set(before)
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", rendered)
    assert stored(kubectl) == before


def test_what_kubectl_compares_by_itself_is_unchanged_the_second_time(kubectl: Kubectl, rendered: Path) -> None:
    kubectl.run("apply", "-k", rendered)
    before = stored(kubectl)
    said = kubectl.run("apply", "-k", rendered).splitlines()
    assert [each for each in said if not each.endswith(" unchanged") and not each.startswith(NAMED_EACH_TIME)] == []
    assert stored(kubectl) == before


def stored(kubectl: Kubectl) -> dict[tuple[str, str], Any]:
    """Each object without what controllers write of it."""
    found = json.loads(kubectl.run("get", KINDS, "--output=json", "--show-managed-fields"))["items"]
    for each in found:
        each.pop("status", None)
        described = each["metadata"]
        described.pop("resourceVersion")
        managed = described.get("managedFields", [])
        described["managedFields"] = [entry for entry in managed if entry.get("subresource") != "status"]
        described.get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    keys = {(each["kind"], each["metadata"]["name"]): each for each in found}
    keys.pop(SCALED, None)
    return keys
