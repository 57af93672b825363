"""A Prometheus beside the cluster, which reads annotated pods through the API server."""

import base64
import json
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.kubectl import Kubectl, Object
from tests.cluster.programs import Failed
from tests.ports import free_port
from tests.waiting import until

NOTE = "prometheus.io/"
DISCOVERED_EVERY = 2.0


class Prometheus:
    """url: of its API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def values(self, query: str) -> dict[str, float]:
        """By job, of an instant query."""
        found = self.ask(f"/api/v1/query?query={urllib.parse.quote(query)}")
        return {each["metric"].get("job", ""): float(each["value"][1]) for each in found["result"]}

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def targets(pods: Sequence[Object], api: str) -> list[dict[str, Any]]:
    """Of pods that ask for it by their annotations, with the labels that scrape.yml would give them. Touches nothing.

    api: "host:port" of the API server, which passes requests on to pods.
    """
    found: list[dict[str, Any]] = []
    for pod in pods:
        described = pod["metadata"]
        notes = described.get("annotations", {})
        if notes.get(f"{NOTE}scrape") != "true" or "deletionTimestamp" in described:
            continue
        name, labels = described["name"], described["labels"]
        place = f"/api/v1/namespaces/{described['namespace']}/pods/{name}:{notes[f'{NOTE}port']}/proxy"
        job = f"{labels['app.kubernetes.io/part-of']}/{labels['app.kubernetes.io/name']}"
        told = {"job": job, "namespace": described["namespace"], "instance": name}
        told["__metrics_path__"] = place + notes[f"{NOTE}path"]
        found.append({"targets": [api], "labels": told})
    return found


def configuration(kubeconfig: Mapping[str, Any], folder: Path, alertmanager: str = "") -> dict[str, Any]:
    """It is who the kubeconfig says; the files of the certificate are written to the folder.

    alertmanager: "host:port" of who is told of alerts; "" for nobody.
    """
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    tls: dict[str, str] = {}
    for name, key, holder in (
        ("ca_file", "certificate-authority", cluster),
        ("cert_file", "client-certificate", user),
        ("key_file", "client-key", user),
    ):
        tls[name] = holder.get(key, "")
        if f"{key}-data" in holder:
            file = folder / key
            file.write_bytes(base64.b64decode(holder[f"{key}-data"]))
            tls[name] = str(file)
    job = {
        "job_name": "pods",
        "scheme": "https",
        "tls_config": tls,
        "file_sd_configs": [{"files": [str(folder / "targets.json")]}],
    }
    every = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}
    told = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]} if alertmanager else {}
    return {"global": every, "rule_files": ["rules.yml"], "scrape_configs": [job], "alerting": told}


@contextmanager
def alerting(folder: Path, program: str, address: str) -> Iterator[None]:
    """An Alertmanager at "host:port" with the alertmanager.yml of the folder."""
    arguments = ["--config.file=alertmanager.yml", "--storage.path=told", f"--web.listen-address={address}"]
    with _running([program, *arguments, "--cluster.listen-address="], folder, "alertmanager.log"):
        made = Prometheus(f"http://{address}")
        until(made.is_ready, "Alertmanager is ready")
        yield


@contextmanager
def beside(kubectl: Kubectl, folder: Path, program: str, alertmanager: str = "") -> Iterator[Prometheus]:
    """With the rules.yml of the folder, for the pods as they come and go. alertmanager: "host:port" of who is told."""
    kubeconfig = yaml.safe_load(Path(kubectl.kubeconfig).read_text())
    api = urllib.parse.urlsplit(kubeconfig["clusters"][0]["cluster"]["server"]).netloc
    (folder / "prometheus.yml").write_text(json.dumps(configuration(kubeconfig, folder, alertmanager)))
    port = free_port()
    arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    with _discovering(kubectl, folder / "targets.json", api), _running([program, *arguments], folder, "log"):
        made = Prometheus(f"http://127.0.0.1:{port}")
        until(made.is_ready, "Prometheus is ready")
        yield made


@contextmanager
def _discovering(kubectl: Kubectl, file: Path, api: str) -> Iterator[None]:
    """Write down who is to be read, again and again: Prometheus follows the file, as it would follow the pods."""
    over = threading.Event()
    new = file.with_suffix(".new")

    def write() -> None:
        new.write_text(json.dumps(targets(kubectl.list("pods"), api)))
        new.replace(file)

    def follow() -> None:
        while not over.wait(DISCOVERED_EVERY):
            with suppress(Failed):  # the API server may be busy; it is asked again
                write()

    write()
    following = threading.Thread(target=follow)
    following.start()
    try:
        yield
    finally:
        over.set()
        following.join()


@contextmanager
def _running(command: Sequence[str], folder: Path, log: str) -> Iterator[None]:
    with (folder / log).open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
