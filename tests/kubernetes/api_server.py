"""An API server as somebody meets it who has a right to all but some of what it keeps."""

import gzip
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import KINDS
from atoll.kubernetes.revision import LABEL

ADDED = {"httproutes", "prometheusrules", "servicemonitors"}
LABELS = {"app.kubernetes.io/part-of": "shop"}
NAMESPACE: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": LABELS}}


class Server(ThreadingHTTPServer):
    """Answers as an API server does to who has a right to all but some: who has none is told so before that it is none.

    objects: by their paths' ends, such as "configmaps/atoll-revision-1". forbidden: kinds in the plural, and methods.
    """

    objects: dict[str, Object]
    forbidden: set[str]


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        if path.endswith("/version"):
            self._say(200, {"gitVersion": "v1.36.0", "major": "1", "minor": "36"})
            return
        kind = next((each.plural for each in KINDS if each.plural in path.split("/")[-2:]), "namespaces")
        if kind in self.server.forbidden or f"{self.command} {kind}" in self.server.forbidden:
            self._say(403, {"message": f"{kind} is forbidden"})
        elif path.endswith(kind):
            found = [each for name, each in self.server.objects.items() if name.partition("/")[0] == kind]
            self._say(200, {"items": found})
        else:
            found_one = next((each for name, each in self.server.objects.items() if path.endswith(name)), None)
            self._say(200 if found_one else 404, found_one or {"message": f"there is no {self.path}"})

    def _say(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answers) as made:
        made.objects, made.forbidden = {"namespaces/shop": NAMESPACE}, set(ADDED)
        thread = Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


def kubeconfig_of(port: int, folder: Path) -> Path:
    """For what listens there."""
    path = folder / "kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "some"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }))  # fmt: skip
    return path


def revision(parts: dict[str, Sequence[Object]]) -> Object:
    content = gzip.compress(json.dumps({"number": 1, "made": "", "note": "", "parts": parts, "built": {}}).encode())
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "atoll-revision-1", "labels": {**LABELS, LABEL: "1"}},
        "binaryData": {"revision.json.gz": b64encode(content).decode()},
    }
