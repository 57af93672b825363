"""What a cluster offers beside Kubernetes itself: DNS, metrics, and the objects that announce them.

Both run as processes of the node, not as pods: a Service without selector and an EndpointSlice point at them.
"""

from collections.abc import Sequence

from tests.cluster.control_plane import Setting
from tests.cluster.daemon import Answers, Specification
from tests.cluster.kubectl import Object
from tests.cluster.place import Place

SYSTEM = "kube-system"
METRICS_PORT = 4443


def _port(name: str, port: int, target: int, protocol: str = "TCP") -> Object:
    return {"name": name, "port": port, "targetPort": target, "protocol": protocol}


DNS_PORTS: Sequence[Object] = (_port("dns", 53, 53, "UDP"), _port("dns-tcp", 53, 53))


def dns(setting: Setting) -> Specification:
    place = setting.place
    corefile = place.folder / "Corefile"
    corefile.write_text(dns_configuration(setting))
    command = [setting.program("coredns"), f"-conf={corefile}"]
    return Specification("coredns", command, Answers(f"http://{place.node_address}:8181/ready"))


def dns_configuration(setting: Setting) -> str:
    """A Corefile. Touches nothing."""
    address = setting.place.node_address
    lines = [
        ".:53 {",
        f"  bind {address}",
        f"  ready {address}:8181",
        "  kubernetes cluster.local {",
        f"    kubeconfig {setting.certificates.kubeconfig('dns')} atoll",
        "  }",
        # Short, so that a test sees a new Service soon.
        "  cache 2",
        "  errors",
        "}",
    ]
    return "\n".join([*lines, ""])


def metrics(setting: Setting) -> Specification:
    certificates, address = setting.certificates, setting.place.node_address
    kubeconfig = certificates.kubeconfig("metrics")
    command = [
        setting.program("metrics-server"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--secure-port={METRICS_PORT}",
        f"--bind-address={address}",
        f"--kubelet-certificate-authority={certificates.authority}",
        "--kubelet-preferred-address-types=InternalIP",
        # The least it takes; a request must not last as long.
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
        f"--requestheader-client-ca-file={certificates.authority}",
        f"--tls-cert-file={certificates.certificate('metrics')}",
        f"--tls-private-key-file={certificates.key('metrics')}",
    ]
    # Not /readyz, which waits for the first measurements.
    return Specification("metrics-server", command, Answers(f"https://{address}:{METRICS_PORT}/livez", setting.trust()))


def objects(place: Place) -> Sequence[Object]:
    """What the API server must know of them. Touches nothing."""
    service = {"name": "metrics-server", "namespace": SYSTEM}
    return [
        *_service(place, "kube-dns", DNS_PORTS, address=place.dns_service),
        *_service(place, "metrics-server", [_port("https", 443, METRICS_PORT)]),
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": service,
            },
        },
    ]


def _service(place: Place, name: str, ports: Sequence[Object], *, address: str = "") -> Sequence[Object]:
    """A Service of kube-system that leads to a process of the node."""
    spec = {"ports": list(ports), **({"clusterIP": address} if address else {})}
    ends = [{"name": port["name"], "port": port["targetPort"], "protocol": port["protocol"]} for port in ports]
    labels = {"kubernetes.io/service-name": name}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": SYSTEM}, "spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": SYSTEM, "labels": labels},
            "addressType": "IPv4",
            "ports": ends,
            "endpoints": [{"addresses": [place.node_address]}],
        },
    ]
