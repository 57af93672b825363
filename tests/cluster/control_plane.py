"""etcd, the API server, the controllers and the scheduler: their command lines."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.certificates import Certificates
from tests.cluster.daemon import Answers, Specification
from tests.cluster.place import Place

API_PORT = 6443
ETCD = "http://127.0.0.1:2379"


@dataclass(frozen=True)
class Setting:
    """What the command lines of a cluster have in common.

    programs: where the built ones are, as seen inside the cluster's namespaces, by name.
    """

    place: Place
    certificates: Certificates
    programs: dict[str, Path]

    def program(self, name: str) -> str:
        return str(self.programs[name])

    def trust(self) -> ssl.SSLContext:
        """Of an administrator who asks how the daemons are."""
        context = ssl.create_default_context(cafile=str(self.certificates.authority))
        context.load_cert_chain(self.certificates.certificate("admin"), self.certificates.key("admin"))
        return context


def etcd(setting: Setting) -> Specification:
    # Readiness is asked from outside, through the node's address; the API server uses loopback.
    outside = f"http://{setting.place.node_address}:2379"
    command = [
        "etcd",
        f"--data-dir={setting.place.folder / 'etcd'}",
        f"--listen-client-urls={ETCD},{outside}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        # Nothing here has to survive the machine.
        "--unsafe-no-fsync",
    ]
    return Specification("etcd", command, Answers(f"{outside}/health"))


def api_server(setting: Setting) -> Specification:
    certificates, place = setting.certificates, setting.place
    command = [
        setting.program("kube-apiserver"),
        f"--etcd-servers={ETCD}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={place.node_address}",
        f"--tls-cert-file={certificates.certificate('apiserver')}",
        f"--tls-private-key-file={certificates.key('apiserver')}",
        f"--client-ca-file={certificates.authority}",
        f"--service-account-key-file={certificates.token_public_key}",
        f"--service-account-signing-key-file={certificates.token_key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={place.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # For exec and logs.
        f"--kubelet-client-certificate={certificates.certificate('admin')}",
        f"--kubelet-client-key={certificates.key('admin')}",
        f"--kubelet-certificate-authority={certificates.authority}",
        "--kubelet-preferred-address-types=InternalIP",
        # For metrics-server, which serves a part of the API.
        f"--requestheader-client-ca-file={certificates.authority}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificates.certificate('front-proxy')}",
        f"--proxy-client-key-file={certificates.key('front-proxy')}",
        "--enable-aggregator-routing=true",
    ]
    url = f"https://{place.node_address}:{API_PORT}/readyz"
    return Specification("kube-apiserver", command, Answers(url, setting.trust()))


def controller_manager(setting: Setting) -> Specification:
    certificates, address = setting.certificates, setting.place.node_address
    command = [
        setting.program("kube-controller-manager"),
        f"--kubeconfig={certificates.kubeconfig('controller-manager')}",
        f"--service-account-private-key-file={certificates.token_key}",
        f"--root-ca-file={certificates.authority}",
        f"--cluster-signing-cert-file={certificates.authority}",
        f"--cluster-signing-key-file={certificates.key('ca')}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        # An autoscaler that a test can wait for.
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
        *_serving(setting, "controller-manager"),
    ]
    url = f"https://{address}:10257/healthz"
    return Specification("kube-controller-manager", command, Answers(url, setting.trust()))


def scheduler(setting: Setting) -> Specification:
    command = [
        setting.program("kube-scheduler"),
        f"--kubeconfig={setting.certificates.kubeconfig('scheduler')}",
        "--leader-elect=false",
        *_serving(setting, "scheduler"),
    ]
    url = f"https://{setting.place.node_address}:10259/healthz"
    return Specification("kube-scheduler", command, Answers(url, setting.trust()))


def _serving(setting: Setting, name: str) -> list[str]:
    """How a component of the control plane serves its health."""
    return [
        f"--bind-address={setting.place.node_address}",
        f"--tls-cert-file={setting.certificates.certificate(name)}",
        f"--tls-private-key-file={setting.certificates.key(name)}",
    ]
