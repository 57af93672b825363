"""containerd, the kubelet and kube-proxy: their configuration and command lines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.control_plane import Setting
from tests.cluster.daemon import Answers, Listens, Specification
from tests.cluster.place import NODE, Place

PAUSE = "atoll-test/pause:1"
# Debian's folder, then that of the plug-ins' own archive.
PLUGIN_FOLDERS: Sequence[Path] = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
PLUGINS: Sequence[str] = ("bridge", "host-local", "loopback")


def plugin_folder() -> Path | None:
    """Where the CNI plug-ins are, if all that are needed are there."""
    for folder in PLUGIN_FOLDERS:
        if all(folder.joinpath(plugin).exists() for plugin in PLUGINS):
            return folder
    return None


def containerd(setting: Setting, plugins: Path) -> Specification:
    place = setting.place
    networks = place.folder / "cni"
    networks.mkdir()
    _write(networks / "10-pods.conflist", pod_network(place))
    configuration = place.folder / "containerd.toml"
    configuration.write_text(containerd_configuration(place, networks, plugins))
    return Specification("containerd", ["containerd", f"--config={configuration}"], Listens(place.containerd))


def containerd_configuration(place: Place, networks: Path, plugins: Path) -> str:
    """containerd.toml. Touches nothing."""
    runtime = 'plugins."io.containerd.grpc.v1.cri"'
    lines = [
        "version = 2",
        f'root = "{place.folder / "containerd"}"',
        'state = "/run/containerd"',
        "[grpc]",
        f'  address = "{place.containerd}"',
        f"[{runtime}]",
        # A machine without CAP_SYS_RESOURCE starts no pod otherwise.
        "  restrict_oom_score_adj = true",
        f'  sandbox_image = "{PAUSE}"',
        f"[{runtime}.containerd]",
        '  snapshotter = "overlayfs"',
        '  default_runtime_name = "runc"',
        f"[{runtime}.containerd.runtimes.runc]",
        '  runtime_type = "io.containerd.runc.v2"',
        f"[{runtime}.containerd.runtimes.runc.options]",
        "  SystemdCgroup = false",
        f"[{runtime}.cni]",
        f'  bin_dir = "{plugins}"',
        f'  conf_dir = "{networks}"',
    ]
    return "\n".join([*lines, ""])


def importing(place: Place) -> list[str]:
    """The command that gives images to the node; it wants the name of an archive, or "-" for its standard input."""
    return ["ctr", f"--address={place.containerd}", "--namespace=k8s.io", "images", "import"]


def pod_network(place: Place) -> Mapping[str, Any]:
    """A CNI configuration. Touches nothing."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": place.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(place.folder / "addresses"),
    }
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def kubelet(setting: Setting) -> Specification:
    place = setting.place
    place.folder.joinpath("resolv.conf").write_text("# The machine's name servers are out of reach.\n")
    configuration = place.folder / "kubelet.json"
    _write(configuration, kubelet_configuration(setting))
    command = [
        setting.program("kubelet"),
        f"--config={configuration}",
        f"--kubeconfig={setting.certificates.kubeconfig('kubelet')}",
        f"--hostname-override={NODE}",
        f"--node-ip={place.node_address}",
        f"--root-dir={place.folder / 'kubelet'}",
    ]
    return Specification("kubelet", command, Answers(f"http://{place.node_address}:10248/healthz"))


def kubelet_configuration(setting: Setting) -> Mapping[str, Any]:
    """A KubeletConfiguration. Touches nothing."""
    place, certificates = setting.place, setting.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failSwapOn": False,
        # Machines without systemd may still have version 1.
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{place.group}",
        "containerRuntimeEndpoint": f"unix://{place.containerd}",
        "address": place.node_address,
        "healthzBindAddress": place.node_address,
        "authentication": {
            "x509": {"clientCAFile": str(certificates.authority)},
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificates.certificate("kubelet")),
        "tlsPrivateKeyFile": str(certificates.key("kubelet")),
        "clusterDNS": [place.dns_service],
        "clusterDomain": "cluster.local",
        "resolvConf": str(place.folder / "resolv.conf"),
        "podLogsDir": str(place.folder / "pods"),
        # The disk is the machine's, and how full it is no concern of a test.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    }


def proxy(setting: Setting) -> Specification:
    place = setting.place
    command = [
        setting.program("kube-proxy"),
        f"--kubeconfig={setting.certificates.kubeconfig('proxy')}",
        "--proxy-mode=nftables",
        f"--hostname-override={NODE}",
        f"--cluster-cidr={place.pods}",
        f"--healthz-bind-address={place.node_address}:10256",
        # The tables of connections are the machine's, and left as they are.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]
    return Specification("kube-proxy", command, Answers(f"http://{place.node_address}:10256/healthz"))


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1))
