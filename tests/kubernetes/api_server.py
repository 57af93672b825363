"""An API server as somebody meets it who has a right to all but some of what it keeps."""

import gzip
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

from atoll.kubernetes.client import Api, connect
from atoll.kubernetes.names import MANAGER, Object
from atoll.kubernetes.objects import KINDS, mapping
from atoll.kubernetes.revision import LABEL

LOST = -1
ADDED = {"httproutes", "prometheusrules", "servicemonitors"}
LABELS = {"app.kubernetes.io/part-of": "shop"}
NAMESPACE: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": LABELS}}


class Server(ThreadingHTTPServer):
    """Keeps objects as an API server does for who has a right to all but some: who has none is told so before all else.

    objects: by their paths' ends, such as "configmaps/atoll-revision-1". forbidden: kinds in the plural, and methods.
    asked: what changes something, such as "PUT leases/atoll-deploying". failing: how it is answered first: 429 and the
    like, or LOST if it is done and nothing is said. meanwhile: what others do before it, once. logs: of pods.
    """

    objects: dict[str, Object]
    forbidden: set[str]
    asked: list[str]
    failing: dict[str, list[int]]
    meanwhile: dict[str, Callable[[], None]]
    logs: dict[str, bytes]

    def put(self, name: str, made: Object) -> Object:
        """Keep it, as its next version."""
        version = str(int(str(mapping(self.objects.get(name), "metadata").get("resourceVersion", 0))) + 1)
        self.objects[name] = {**made, "metadata": {**mapping(made, "metadata"), "resourceVersion": version}}
        return self.objects[name]


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path, asked = url.path.rstrip("/"), dict(parse_qsl(url.query))
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        if path.endswith("/version"):
            self._say(200, {"gitVersion": "v1.36.0", "major": "1", "minor": "36"})
            return
        if path.endswith("/log"):
            self._send(200, "text/plain", self.server.logs[path.split("/")[-2]])
            return
        kind = next((each.plural for each in KINDS if each.plural in path.split("/")[-2:]), "namespaces")
        given = json.loads(content) if content else {}
        name = f"{kind}/{mapping(given, 'metadata')['name'] if self.command == 'POST' else path.rpartition('/')[2]}"
        act = f"{self.command} {name}"
        if kind in self.server.forbidden or f"{self.command} {kind}" in self.server.forbidden:
            self._say(403, {"message": f"{kind} is forbidden"})
        elif path.endswith(kind) and self.command == "GET":
            found = [each for key, each in self.server.objects.items() if key.partition("/")[0] == kind]
            self._say(200, {"items": [each for each in found if _is_chosen(each, asked.get("labelSelector", ""))]})
        else:
            if self.command != "GET" and "dryRun" not in asked:
                self.server.asked.append(act)
            self.server.meanwhile.pop(act, lambda: None)()
            failing = self.server.failing.get(act)
            status = failing.pop(0) if failing else 0
            if status in (0, LOST):
                done = self._done(name, given, is_trial="dryRun" in asked)
                self._say(*done) if status != LOST else self.connection.shutdown(SHUT_RDWR)
            else:
                self._say(status, {"message": "not now"})

    def _done(self, name: str, given: Object, *, is_trial: bool) -> tuple[int, Object]:
        there, version = self.server.objects.get(name), mapping(given, "metadata").get("resourceVersion")
        if self.command == "PATCH":
            managed = {"managedFields": [{"manager": MANAGER, "operation": "Apply", "fieldsV1": {}}]}
            after = _merged(there or {}, {**given, "metadata": {**mapping(given, "metadata"), **managed}})
            return 200, after if is_trial else self.server.put(name, after)
        if self.command == "POST":
            return (409, {"message": f"{name} is there"}) if there else (201, self.server.put(name, given))
        if there is None:
            return 404, {"message": f"there is no {name}"}
        if self.command == "DELETE":
            version = mapping(given, "preconditions").get(
                "resourceVersion", mapping(there, "metadata").get("resourceVersion")
            )
        if self.command in ("PUT", "DELETE") and version != mapping(there, "metadata").get("resourceVersion"):
            return 409, {"message": f"{name} has changed"}
        if self.command == "DELETE":
            del self.server.objects[name]
        return 200, self.server.put(name, given) if self.command == "PUT" else there

    def _say(self, status: int, body: object) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def _is_chosen(made: Object, selector: str) -> bool:
    """By labels as in "a=b,c,!d,e in (f,g)"."""
    labels = mapping(made, "metadata", "labels")
    for each in re.split(r",(?![^(]*\))", selector) if selector else ():
        name, _, value = each.removeprefix("!").partition("=")
        name, _, several = name.partition(" in ")
        is_there = labels.get(name) in (
            [value] if value else several.strip("()").split(",") if several else labels.values()
        )
        if (name in labels and is_there) == each.startswith("!"):
            return False
    return True


def _merged(there: Object, given: Object) -> Object:
    """What is there with all that is given in it."""
    inside = {name: _merged(mapping(there, name), value) for name, value in given.items() if isinstance(value, dict)}
    return {**there, **given, **inside}


@contextmanager
def serving() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answers) as made:
        made.objects, made.forbidden = {"namespaces/shop": NAMESPACE}, set(ADDED)
        made.asked, made.failing, made.meanwhile, made.logs = [], {}, {}, {}
        thread = Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


@asynccontextmanager
async def connected(server: Server, folder: Path) -> AsyncIterator[Api]:
    """To the namespace shop."""
    async with connect("", "shop", str(kubeconfig_of(server.server_port, folder))) as api:
        yield api


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


def revision(parts: dict[str, Sequence[Object]], number: int = 1, system: str = "shop") -> Object:
    content = gzip.compress(
        json.dumps({"number": number, "made": "", "note": "", "parts": parts, "built": {}}).encode()
    )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"atoll-revision-{number}",
            "labels": {"app.kubernetes.io/part-of": system, LABEL: str(number)},
        },
        "binaryData": {"revision.json.gz": b64encode(content).decode()},
    }
