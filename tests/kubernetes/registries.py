"""A real registry on loopback, open to all or behind tokens, and an image to put there."""

import base64
import datetime as dt
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.ports import free_port
from tests.waiting import until

ISSUER, SERVICE = "tokens", "registry"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Tokens:
    """Who gives tokens to anybody, for reading alone, as the service of Docker's own registry does.

    login: "name:password" of the only one who may read; "" is anybody. asked: the scopes that were asked for.
    """

    certificate: bytes
    _key: rsa.RSAPrivateKey
    login: str = ""
    asked: list[str] = field(default_factory=list)

    @classmethod
    def made(cls, login: str = "") -> "Tokens":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        return cls(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), key, login)

    def token(self, scope: str, actions: list[str]) -> str:
        kind, _, rest = scope.partition(":")
        name = rest.rpartition(":")[0]
        now = int(dt.datetime.now(dt.UTC).timestamp())
        claims = {
            "iss": ISSUER,
            "sub": "",
            "aud": SERVICE,
            "nbf": now - 5,
            "iat": now - 5,
            "exp": now + 60,
            "jti": "1",
            "access": [{"type": kind, "name": name, "actions": actions}],
        }
        chain = base64.b64encode(x509.load_pem_x509_certificate(self.certificate).public_bytes(Encoding.DER)).decode()
        return jwt.encode(claims, self._key, "RS256", headers={"x5c": [chain]})

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address where they are given."""
        tokens = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scope = parse_qs(urlsplit(self.path).query)["scope"][0]
                tokens.asked.append(scope)
                known = f"Basic {base64.b64encode(tokens.login.encode()).decode()}"
                may = not tokens.login or self.headers.get("Authorization") == known
                content = json.dumps({"token": tokens.token(scope, ["pull"] if may else [])}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - its name there

        with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/token"
            finally:
                server.shutdown()
                thread.join()


@contextmanager
def registry(program: str, folder: Path, tokens: Tokens | None = None, realm: str = "") -> Iterator[str]:
    """Its name, such as "127.0.0.1:34567". tokens: it shows nothing without one; realm: where they are given."""
    name = f"127.0.0.1:{free_port()}"
    configuration: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": name},
    }
    if tokens is not None:
        (folder / "certificate").write_bytes(tokens.certificate)
        token = {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(folder / "certificate")}
        configuration["auth"] = {"token": token}
    (folder / "config.yml").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", folder / "config.yml"], stdout=log, stderr=log)
        try:
            until(lambda: _answers(name), "the registry answers", why=(folder / "log").read_text)
            yield name
        finally:
            process.terminate()
            process.wait(10)


def push(name: str, repository: str, tag: str, token: str = "", processor: str = "amd64") -> str:
    """Put an image without files there; its digest."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=f"http://{name}/v2/{repository}", headers=headers, timeout=10) as client:
        configuration = json.dumps({"architecture": processor, "os": "linux", "rootfs": {"type": "layers"}}).encode()
        digest = f"sha256:{sha256(configuration).hexdigest()}"
        place = client.post("/blobs/uploads/").raise_for_status().headers["Location"]
        client.put(
            place, params={**httpx.URL(place).params, "digest": digest}, content=configuration
        ).raise_for_status()
        described = {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(configuration),
            "digest": digest,
        }
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}
        content = json.dumps(manifest).encode()
        client.put(f"/manifests/{tag}", content=content, headers={"Content-Type": MANIFEST}).raise_for_status()
    return f"sha256:{sha256(content).hexdigest()}"


def _answers(name: str) -> bool:
    try:
        return httpx.get(f"http://{name}/v2/", timeout=2).status_code in {200, 401}
    except httpx.HTTPError:
        return False
