"""A system in a namespace that was there before it: what others keep there stays as it is."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.programs import Failed, run
from tests.cluster.shop import SOURCE
from tests.waiting import until

HELLO = """\
from atoll import Gateway, Postgres, Service, System, get


class Hello:
    @get("/hello")
    async def hello(self) -> str:
        return "Hello"


hello = Service("hello", Hello, database=Postgres())
guest = System("guest", services=[hello], gateway=Gateway(expose=[hello]))
"""


@pytest.fixture
def project(tmp_path: Path, kubectl: Kubectl) -> Path:
    """Of a system that is for the test's own namespace."""
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "guest.toml").write_text(
        f'[cluster]\nnamespace = "{kubectl.namespace}"\n[images]\npython = "3.11"\n[gateway]\nway_in = "nodeport"\n'
    )
    shutil.copy(SOURCE / "requirements.txt", tmp_path)
    return tmp_path


def atoll(cluster: Cluster, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    command = [sys.executable, "-m", "atoll.cli.main", *arguments, "--system", "hello.py", "-e", "guest"]
    return run(command, within=120, environment=environment, folder=folder)


def test_what_others_keep_in_a_namespace_survives_a_system_and_all_of_its_data(
    cluster: Cluster, kubectl: Kubectl, project: Path
) -> None:
    # Given a namespace with a secret, a claim that has a label like ours, and no wish for Pod Security
    kubectl.run("create", "secret", "generic", "precious", "--from-literal=key=value")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "theirs", "labels": {"app": "postgres"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    kubectl.apply(claim)
    before = json.loads(kubectl.run("get", "namespace", kubectl.namespace, "--output=json"))["metadata"]["labels"]
    # When a system comes (its images are nowhere, so it gets no further than to be applied)
    with pytest.raises(Failed, match="does not come up"):
        atoll(cluster, project, "deploy", "--timeout", "5")
    assert kubectl.list("statefulsets")
    # Then the namespace is as it was, and its policies are about the system's own pods
    after = json.loads(kubectl.run("get", "namespace", kubectl.namespace, "--output=json"))["metadata"]["labels"]
    assert after == before
    for each in kubectl.list("networkpolicies"):
        assert each["spec"]["podSelector"]["matchLabels"]
    # And when it goes with its data, only what is its own goes
    atoll(cluster, project, "destroy", "--data", "--yes")
    # Kubernetes lets go of a claim a moment after its last pod has ended.
    until(lambda: names(kubectl, "persistentvolumeclaims") == ["theirs"], "the system's claims are gone")
    assert names(kubectl, "secrets") == ["precious"]
    assert kubectl.list("statefulsets") == []


def names(kubectl: Kubectl, kind: str) -> list[str]:
    return [each["metadata"]["name"] for each in kubectl.list(kind)]


def test_an_environment_that_is_not_there_is_not_taken_for_the_usual_one(cluster: Cluster, project: Path) -> None:
    for command in (["status"], ["deploy", "--diff"], ["destroy", "--yes"], ["render", "kubernetes"]):
        named = ["--system", "hello.py"] if command[0] not in ("status", "render") else ["hello.py"]
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        with pytest.raises(Failed, match=r"(?s)no environments/gest\.toml beside.*guest"):
            run(
                [sys.executable, "-m", "atoll.cli.main", *command, *named, "-e", "gest"],
                environment=environment,
                folder=project,
            )
