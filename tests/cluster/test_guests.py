"""A system in a namespace that was there before it: what others keep there stays as it is."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.programs import Failed, run
from tests.cluster.shop import SOURCE
from tests.documented import documented_roles
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

NO_MORE: Mapping[str, str] = {}

# With all that a small system may have, on images that are carried in.
BUILT = """\
[cluster]
namespace = "{namespace}"
[images]
registry = "atoll.test/guest"
base = "atoll-test/python:bookworm"
python = "3.11"
engines = "wheels"
[gateway]
way_in = "nodeport"
replicas = 1
cpu = "10m"
memory = "64Mi"
[engines.postgres]
storage = "1Gi"
cpu = "10m"
memory = "64Mi"
[telemetry]
dashboard = true
storage = "1Gi"
cpu = "10m"
memory = "64Mi"
[defaults]
cpu = "10m"
memory = "64Mi"
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


def atoll(
    kubeconfig: Path, folder: Path, *arguments: str, within: float = 120, more: Mapping[str, str] = NO_MORE
) -> str:
    """more: variables of the environment."""
    named = ["hello.py"] if arguments[0] in {"status", "render"} else ["--system", "hello.py"]
    command = [sys.executable, "-m", "atoll.cli.main", *arguments, *named, "-e", "guest"]
    environment = {**os.environ, **more, "KUBECONFIG": str(kubeconfig)}
    return run(command, within=within, environment=environment, folder=folder)


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
        atoll(cluster.kubeconfig, project, "deploy", "--timeout", "5")
    assert kubectl.list("statefulsets")
    # Then the namespace is as it was, and its policies are about the system's own pods
    after = json.loads(kubectl.run("get", "namespace", kubectl.namespace, "--output=json"))["metadata"]["labels"]
    assert after == before
    for each in kubectl.list("networkpolicies"):
        assert each["spec"]["podSelector"]["matchLabels"]
    # And when it goes with its data, only what is its own goes
    atoll(cluster.kubeconfig, project, "destroy", "--data", "--yes")
    # Kubernetes lets go of a claim a moment after its last pod has ended.
    until(lambda: names(kubectl, "persistentvolumeclaims") == ["theirs"], "the system's claims are gone")
    assert names(kubectl, "secrets") == ["precious"]
    assert kubectl.list("statefulsets") == []


def test_an_object_of_anothers_stays_and_what_kubectl_applied_of_the_system_is_its_own(
    cluster: Cluster, kubectl: Kubectl, project: Path
) -> None:
    # Given a Service of somebody's that is called as one of the system's own
    kubectl.run("create", "service", "clusterip", "postgres", "--tcp=5432:5432")
    before = kubectl.get("service", "postgres")
    # Then nothing is applied
    with pytest.raises(Failed, match=r"ATL5118 .* has Service postgres of kubectl-create; guest has"):
        atoll(cluster.kubeconfig, project, "deploy", "--force", "--timeout", "5")
    assert kubectl.get("service", "postgres") == before
    assert kubectl.list("statefulsets") == []
    # When it is given up, as the error says, and kubectl applies what is rendered
    labels = ("app.kubernetes.io/part-of=guest", "app.kubernetes.io/managed-by=atoll")
    kubectl.run("label", "--overwrite", "service/postgres", *labels)
    atoll(cluster.kubeconfig, project, "render", "kubernetes", "--output", "rendered")
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", project / "rendered")
    # Then a deployment goes on from there: as far as its images, which are nowhere
    with pytest.raises(Failed, match="does not come up"):
        atoll(cluster.kubeconfig, project, "deploy", "--timeout", "5")


@pytest.mark.timeout(500)
def test_a_role_in_one_namespace_is_enough_to_deploy_look_roll_back_and_destroy(
    cluster: Cluster, kubectl: Kubectl, project: Path, tmp_path: Path
) -> None:
    # Given a system whose images are there, and an account that has the documented Role and nothing else
    project.joinpath("environments", "guest.toml").write_text(BUILT.format(namespace=kubectl.namespace))
    cluster.docker.base("python")
    built = atoll(
        cluster.kubeconfig, project, "build", "--builder", cluster.docker.program, "--json",
        within=300, more=cluster.docker.environment,
    )  # fmt: skip
    cluster.load(*json.loads(built).values())
    (role,) = documented_roles()
    kubectl.apply({**role, "metadata": {"name": "deployer"}})
    deployer = account(kubectl, tmp_path, "--role=deployer")
    # When it deploys, twice
    first = json.loads(atoll(deployer, project, "deploy", "--json", within=200))
    assert first["revision"] == 1
    assert "Role setup" in first["applied"]
    assert "Role collector" in first["applied"]
    guest = project / "environments" / "guest.toml"
    guest.write_text(guest.read_text() + '[services.hello]\nmemory = "65Mi"\n')
    assert json.loads(atoll(deployer, project, "deploy", "--json", within=200))["revision"] == 2
    # Then it is told how things are, what pods write, and brings back what was there
    standing = json.loads(atoll(deployer, project, "status", "--json"))
    assert standing["ready"]
    assert "http" in standing["url"]
    assert atoll(deployer, project, "logs", "gateway", "hello")
    # (for which nobody needs code that can be read)
    (project / "hello.py").write_text("class Hello(:\n")
    assert json.loads(atoll(deployer, project, "rollback", "--json", within=200)) == {"revision": 3}
    # And all goes, with its data
    atoll(deployer, project, "destroy", "--data", "--yes")
    until(lambda: not kubectl.list("persistentvolumeclaims"), "the system's claims are gone")
    for kind in ("deployments", "statefulsets", "services", "secrets", "leases"):
        assert names(kubectl, kind) == []
    assert names(kubectl, "roles") == ["deployer"]


def test_the_usual_role_admin_in_one_namespace_is_enough(
    cluster: Cluster, kubectl: Kubectl, project: Path, tmp_path: Path
) -> None:
    admin = account(kubectl, tmp_path, "--clusterrole=admin")
    # As far as a system without images gets
    with pytest.raises(Failed, match="StatefulSet postgres does not come up"):
        atoll(admin, project, "deploy", "--timeout", "5")
    assert "objects of guest are removed" in atoll(admin, project, "destroy", "--data", "--yes")
    assert kubectl.list("statefulsets") == []


def test_a_namespace_that_the_system_made_stays_as_it_is_for_who_may_not_change_it(
    cluster: Cluster, kubectl: Kubectl, project: Path, tmp_path: Path
) -> None:
    # Given a namespace that whoever may do everything has made by deploying
    own = f"{kubectl.namespace}-own"
    guest = project / "environments" / "guest.toml"
    guest.write_text(guest.read_text().replace(kubectl.namespace, own))
    try:
        with pytest.raises(Failed, match="StatefulSet postgres does not come up"):
            atoll(cluster.kubeconfig, project, "deploy", "--timeout", "5")
        # When somebody else deploys who has rights in it, and none to it
        admin = account(kubectl.in_namespace(own), tmp_path, "--clusterrole=admin")
        with pytest.raises(Failed, match="StatefulSet postgres does not come up"):
            atoll(admin, project, "deploy", "--timeout", "5")
        # Then all that is in it can go
        said = atoll(admin, project, "destroy", "--data", "--yes")
        assert f"namespace {own} stays, for you may not remove it" in said
        assert names(kubectl.in_namespace(own), "statefulsets") == []
    finally:
        kubectl.delete("namespace", own, wait=False)


def account(kubectl: Kubectl, folder: Path, role: str) -> Path:
    """A kubeconfig of a new account with "--role=NAME" or "--clusterrole=NAME" in the namespace."""
    kubectl.run("create", "serviceaccount", "someone")
    kubectl.run("create", "rolebinding", "someone", role, f"--serviceaccount={kubectl.namespace}:someone")
    configuration = json.loads(kubectl.run("config", "view", "--raw", "--minify", "--output=json"))
    configuration["users"][0]["user"] = {"token": kubectl.run("create", "token", "someone").strip()}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(configuration))
    return path


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
