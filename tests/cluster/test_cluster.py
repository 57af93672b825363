"""The cluster is a real Kubernetes, as far as atoll's tests rely on it."""

import json
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl, Object
from tests.cluster.programs import Failed
from tests.waiting import until

# Each replica answers with its own name.
SERVER = """
import http.server, socket
class Name(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(socket.gethostname().encode())
http.server.ThreadingHTTPServer(("", 8080), Name).serve_forever()
"""
SLEEP = ["sleep", "600"]


@pytest.fixture(scope="module")
def python(cluster: Cluster) -> str:
    """The tag of an image with Python, which the node has."""
    tag = cluster.docker.base("python")
    cluster.load(tag)
    return tag


def container(image: str, command: Sequence[str], **more: Any) -> Object:
    limits = {"cpu": "500m", "memory": "128Mi"}
    return {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": limits},
        **more,
    }


def pod(name: str, main: Object, **more: Any) -> Object:
    spec = {"containers": [main], "terminationGracePeriodSeconds": 1, **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_three_replicas_behind_a_service_answer_by_its_dns_name_and_by_its_node_port(
    cluster: Cluster, kubectl: Kubectl, python: str
) -> None:
    # Given a Deployment of three and a Service
    labels = {"app": "web"}
    ready = {"httpGet": {"port": 8080}, "periodSeconds": 1}
    template = {
        "metadata": {"labels": labels},
        "spec": pod("", container(python, ["python3", "-c", SERVER], readinessProbe=ready))["spec"],
    }
    kubectl.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    kubectl.wait("condition=Available", "deployment/web")
    names = {each["metadata"]["name"] for each in kubectl.list("pods")}
    assert len(names) == 3
    # When it is called by its name from a pod, and by the node's port from the machine
    # Often at a time, for a command in a pod takes a while, and which of them answers is left to chance.
    opened = f"u.urlopen('http://web.{kubectl.namespace}', timeout=5)"
    asked = f"import urllib.request as u; print(*{{{opened}.read().decode() for _ in range(20)}})"
    by_name: set[str] = set()
    by_port: set[str] = set()
    port = kubectl.get("service", "web")["spec"]["ports"][0]["nodePort"]

    # Then every replica answers, as soon as the node's proxy knows the Service
    def all_by_name() -> bool:
        with suppress(Failed):
            by_name.update(kubectl.exec("deployment/web", "python3", "-c", asked).split())
        return by_name == names

    def all_by_port() -> bool:
        with suppress(OSError):
            by_port.add(fetch(f"http://{cluster.node_address}:{port}"))
        return by_port == names

    until(all_by_name, "every replica answers by DNS")
    until(all_by_port, "every replica answers by NodePort")


def test_pod_security_restricted_refuses_a_pod_of_root_and_takes_a_modest_one(kubectl: Kubectl, python: str) -> None:
    # Given a namespace that asks for the strictest standard
    label = "pod-security.kubernetes.io/enforce=restricted"
    kubectl.run("label", "namespace", kubectl.namespace, label)
    # When a pod may be root, then it is refused with the reasons
    with pytest.raises(Failed, match=r"violates PodSecurity.*runAsNonRoot"):
        kubectl.apply(pod("root", container(python, SLEEP)))
    # When it gives up all that the standard names, then it runs
    modest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    modest |= {"runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    kubectl.apply(pod("modest", container(python, SLEEP, securityContext=modest)))
    kubectl.wait("condition=Ready", "pod/modest")


@pytest.mark.parametrize("user", [999, 10001])
def test_a_claim_is_bound_for_any_user_and_its_data_survive_the_pod(kubectl: Kubectl, python: str, user: int) -> None:
    # Given a claim, and a pod of an ordinary user that writes to it
    resources = {"requests": {"storage": "2Gi"}}
    kubectl.apply({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources},
    })  # fmt: skip
    mounted = container(python, SLEEP, volumeMounts=[{"name": "data", "mountPath": "/data"}])
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    context = {"runAsUser": user, "runAsGroup": user}
    kubectl.apply(pod("first", mounted, volumes=volumes, securityContext=context))
    kubectl.wait("condition=Ready", "pod/first")
    kubectl.wait("jsonpath={.status.phase}=Bound", "persistentvolumeclaim/data")
    kubectl.exec("first", "sh", "-c", "mkdir /data/own && echo kept > /data/own/file")
    # When another takes its place
    kubectl.delete("pod", "first")
    kubectl.apply(pod("second", mounted, volumes=volumes, securityContext=context))
    kubectl.wait("condition=Ready", "pod/second")
    # Then it finds what was written
    assert kubectl.exec("second", "cat", "/data/own/file") == "kept\n"


def test_a_command_runs_in_a_pod_and_its_log_is_read(kubectl: Kubectl, python: str) -> None:
    kubectl.apply(pod("talks", container(python, ["sh", "-c", "echo hello from the pod; exec sleep 600"])))
    kubectl.wait("condition=Ready", "pod/talks")
    assert kubectl.exec("talks", "python3", "-c", "print(6 * 7)") == "42\n"
    assert kubectl.logs("talks") == "hello from the pod\n"


def test_what_a_pod_uses_is_measured(kubectl: Kubectl, python: str) -> None:
    kubectl.apply(pod("busy", container(python, ["python3", "-c", "while True: pass"], resources={})))
    kubectl.wait("condition=Ready", "pod/busy")

    def measured() -> bool:
        # Without measurements kubectl ends with an error; with them it says: busy   412m   6Mi
        with suppress(Failed):
            return kubectl.run("top", "pod", "busy", "--no-headers").split()[1] not in {"", "0m"}
        return False

    until(measured, "metrics-server tells what the pod uses", within=90, every=1)


# kind, apiVersion, a sound spec, and one with the mistake that the API server names.
DEFINED = [
    (
        "HTTPRoute",
        "gateway.networking.k8s.io/v1",
        {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
        {"rules": [{"backendRefs": [{"name": "web", "port": 0}]}]},
        r"backendRefs\[0\]\.port",
    ),
    (
        "ServiceMonitor",
        "monitoring.coreos.com/v1",
        {"selector": {"matchLabels": {"app": "web"}}, "endpoints": [{"port": "http", "interval": "15s"}]},
        {"selector": {}, "endpoints": [{"port": "http", "interval": "often"}]},
        r"endpoints\[0\]\.interval",
    ),
]


@pytest.mark.parametrize(("kind", "version", "sound", "wrong", "reason"), DEFINED, ids=[case[0] for case in DEFINED])
def test_the_api_server_takes_a_sound_object_and_refuses_a_wrong_one(
    kubectl: Kubectl, kind: str, version: str, sound: Object, wrong: Object, reason: str
) -> None:
    described = {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}}
    assert "server dry run" in kubectl.dry_run({**described, "spec": sound})
    with pytest.raises(Failed, match=reason):
        kubectl.dry_run({**described, "spec": wrong})
    with pytest.raises(Failed, match="mistyped"):
        kubectl.dry_run({**described, "spec": {**sound, "mistyped": 1}})


def write_dockerfile(folder: Path, base: str, command: Sequence[str]) -> None:
    lines = [f"FROM {base}", "RUN echo built > /file", f"CMD {json.dumps(command)}"]
    folder.joinpath("Dockerfile").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("base", "command"),
    [
        ("python", ["python3", "-c", "print(open('/file').read())"]),
        ("node", ["node", "-e", "console.log(require('fs').readFileSync('/file').toString())"]),
    ],
    ids=["python", "node"],
)
def test_an_image_that_its_docker_built_runs_in_the_cluster(
    cluster: Cluster, kubectl: Kubectl, tmp_path: Path, base: str, command: Sequence[str]
) -> None:
    # Given an image built here, in no registry
    tag = f"{kubectl.namespace}/{base}:1"
    write_dockerfile(tmp_path, cluster.docker.base(base), command)
    cluster.docker.build(tag, tmp_path)
    # When it is loaded, then a pod of it runs
    cluster.load(tag)
    kubectl.run("run", base, f"--image={tag}", "--image-pull-policy=Never", "--restart=Never")
    kubectl.wait("jsonpath={.status.phase}=Succeeded", f"pod/{base}")
    assert kubectl.logs(base).strip() == "built"


def test_an_image_that_was_pushed_to_the_registry_is_pulled_by_the_cluster(
    cluster: Cluster, kubectl: Kubectl, tmp_path: Path
) -> None:
    if not cluster.docker.registry:
        pytest.skip("needs a registry beside the cluster")
    # Given an image in the registry, and not in the node
    tag = f"{kubectl.namespace}/pushed:1"
    write_dockerfile(tmp_path, cluster.docker.base("python"), ["cat", "/file"])
    cluster.docker.build(tag, tmp_path)
    pushed = cluster.docker.push(tag)
    # When a pod names it, then it runs
    kubectl.run("run", "pushed", f"--image={pushed}", "--restart=Never")
    kubectl.wait("jsonpath={.status.phase}=Succeeded", "pod/pushed")
    assert kubectl.logs("pushed") == "built\n"
