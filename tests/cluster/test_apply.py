"""kubectl alone applies what is rendered; doing it again changes nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.shop import SOURCE, Shop
from tests.waiting import until

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


def test_a_job_waits_for_a_secret_that_somebody_makes_later_and_no_try_is_used_up(
    kubectl: Kubectl, shop: Shop, tmp_path: Path
) -> None:
    # Given the setup of a system whose PostgreSQL is elsewhere, by a Secret that is not there yet
    name = shop.environment("elsewhere", old="[engines.postgres]", new='[engines.postgres]\nsecret = "managed"')
    file = shop.folder / "shop" / "environments" / f"{name}.toml"
    text = file.read_text().replace("node_port = 30080\n", "")
    file.write_text(f'[cluster]\nnamespace = "{kubectl.namespace}"\n{text}')
    shop.atoll("render", "kubernetes", "-e", name, "--output", str(tmp_path / "rendered"))
    kubectl.run("apply", "--server-side", "-f", tmp_path / "rendered" / "setup.yaml")
    until(lambda: "CreateContainerConfigError" in states(kubectl), "its pod lacks the Secret", within=90)
    # When it is made
    dsn = "--from-literal=dsn=postgresql://nobody:x@198.18.255.254:5432/postgres"
    kubectl.run("create", "secret", "generic", "managed", dsn)
    # Then the same pod runs, and nothing has failed
    until(lambda: "running" in states(kubectl), "its pod runs", within=90)
    (job,) = kubectl.list("jobs")
    assert (job["status"]["active"], job["status"].get("failed", 0)) == (1, 0)


def states(kubectl: Kubectl) -> list[str]:
    """What the containers of all pods are at."""
    found = [each for pod in kubectl.list("pods") for each in pod["status"].get("containerStatuses", [])]
    return [str(state.get("reason", name)) for each in found for name, state in each["state"].items()]


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
