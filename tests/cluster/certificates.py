"""Keys, certificates and kubeconfigs of a cluster, made by openssl."""

import base64
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.place import NODE, Place
from tests.cluster.programs import run

DAYS = 365
# Made in milliseconds; RSA keys of the same strength take seconds.
KEY: Sequence[str] = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Identity:
    """Whom a certificate speaks for. group, user: what Kubernetes reads in it; names: the hosts it may serve as."""

    user: str
    group: str = ""
    names: Sequence[str] = ()

    @property
    def subject(self) -> str:
        return (f"/O={self.group}" if self.group else "") + f"/CN={self.user}"


def identities(place: Place) -> dict[str, Identity]:
    """The certificates of a cluster by file name. Touches nothing."""
    node = f"IP:{place.node_address}"
    kubernetes = [f"DNS:kubernetes{suffix}" for suffix in ("", ".default", ".default.svc")]
    return {
        "apiserver": Identity("kube-apiserver", names=[*kubernetes, "IP:127.0.0.1", node, f"IP:{place.api_service}"]),
        "admin": Identity("admin", "system:masters"),
        "controller-manager": Identity("system:kube-controller-manager", names=[node]),
        "scheduler": Identity("system:kube-scheduler", names=[node]),
        "kubelet": Identity(f"system:node:{NODE}", "system:nodes", names=[f"DNS:{NODE}", node]),
        "proxy": Identity("system:kube-proxy"),
        "dns": Identity("dns", "system:masters"),
        "metrics": Identity("metrics", "system:masters", names=[node]),
        "front-proxy": Identity("front-proxy"),
    }


class Certificates:
    """The files, below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def authority(self) -> Path:
        return self.certificate("ca")

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        return self.folder / f"{name}.kubeconfig"

    @property
    def token_key(self) -> Path:
        """Signs the tokens of service accounts."""
        return self.key("service-accounts")

    @property
    def token_public_key(self) -> Path:
        return self.folder / "service-accounts.pub"

    def make(self, place: Place) -> None:
        self.folder.mkdir(mode=0o700)
        # In place of the machine's own, which adds extensions.
        self._configuration.write_text("[req]\ndistinguished_name = name\n[name]\n")
        constraints = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,digitalSignature"]
        run(self._request("ca", Identity("atoll-test-cluster"), constraints))
        run(["openssl", "genpkey", "-algorithm", "EC", *KEY[2:4], "-out", self.token_key])
        run(["openssl", "pkey", "-in", self.token_key, "-pubout", "-out", self.token_public_key])
        wanted = identities(place)
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(self._sign, wanted, wanted.values()))
        for name, identity in wanted.items():
            content = kubeconfig(
                f"https://{place.node_address}:6443",
                identity.user,
                {
                    "certificate-authority-data": self.authority.read_bytes(),
                    "client-certificate-data": self.certificate(name).read_bytes(),
                    "client-key-data": self.key(name).read_bytes(),
                },
            )
            self.kubeconfig(name).write_text(json.dumps(content, indent=1))
            self.kubeconfig(name).chmod(0o600)

    def _sign(self, name: str, identity: Identity) -> None:
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
        extensions.append("extendedKeyUsage=serverAuth,clientAuth")
        if identity.names:
            extensions.append(f"subjectAltName={','.join(identity.names)}")
        signer = ["-CA", str(self.authority), "-CAkey", str(self.key("ca"))]
        run([*self._request(name, identity, extensions), *signer])

    def _request(self, name: str, identity: Identity, extensions: Sequence[str]) -> list[str]:
        command = ["openssl", "req", "-x509", "-config", str(self._configuration), *KEY, "-days", str(DAYS)]
        command += ["-subj", identity.subject, "-keyout", str(self.key(name)), "-out", str(self.certificate(name))]
        return [*command, *(argument for extension in extensions for argument in ("-addext", extension))]

    @property
    def _configuration(self) -> Path:
        return self.folder / "openssl.cnf"


def kubeconfig(server: str, user: str, data: Mapping[str, bytes]) -> dict[str, Any]:
    """A kubeconfig that needs no other file, so that it can be copied. Touches nothing.

    data: certificate-authority-data, client-certificate-data and client-key-data as PEM.
    """
    encoded = {name: base64.b64encode(pem).decode() for name, pem in data.items()}
    authority = {"certificate-authority-data": encoded.pop("certificate-authority-data")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "atoll", "cluster": {"server": server, **authority}}],
        "users": [{"name": user, "user": encoded}],
        "contexts": [{"name": "atoll", "context": {"cluster": "atoll", "user": user}}],
        "current-context": "atoll",
    }
