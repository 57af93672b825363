"""The Secrets of a pod's own namespace, by the cluster's API."""

import base64
import json
import ssl
from collections.abc import Mapping
from http.client import HTTPSConnection
from pathlib import Path

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT = 10.0
_NOT_FOUND, _CONFLICT = 404, 409


class InCluster:
    """The API server as a pod finds it, as the pod's own account."""

    def __init__(self, address: str, namespace: str, folder: Path = _ACCOUNT) -> None:
        self._address = address
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._folder = folder
        self._tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))

    def value(self, secret: str, key: str) -> str | None:
        return self._values(secret).get(key)

    def _values(self, name: str) -> Mapping[str, str]:
        """By key; nothing if there is no such Secret."""
        status, found = self._ask("GET", f"{self._path}/{name}")
        if status == _NOT_FOUND:
            return {}
        data = found.get("data")
        assert data is None or isinstance(data, dict)
        return {key: base64.b64decode(value).decode() for key, value in (data or {}).items()}

    def keep(self, name: str, wanted: Mapping[str, str], system: str) -> list[str]:
        labels = {"app.kubernetes.io/part-of": system, "app.kubernetes.io/managed-by": "atoll"}
        made = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": labels},
            "type": "Opaque",
            "stringData": dict(wanted),
        }
        status, _ = self._ask("POST", self._path, made, allowed=_CONFLICT)
        if status != _CONFLICT:
            return list(wanted)
        kept = self._values(name)
        missing = {key: value for key, value in wanted.items() if key not in kept}
        if missing:
            self._ask("PATCH", f"{self._path}/{name}", {"stringData": missing})
        return list(missing)

    def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, allowed: int = _NOT_FOUND
    ) -> tuple[int, Mapping[str, object]]:
        """Raises OSError for any failure, with what the API server says of it."""
        token = (self._folder / "token").read_text()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"authorization": f"Bearer {token}", "content-type": kind}
        connection = HTTPSConnection(self._address, context=self._tls, timeout=_TIMEOUT)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            found: Mapping[str, object] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status >= 400 and answer.status != allowed:
            raise OSError(f"{method} {path}: {answer.status} {found.get('message', '')}")
        return answer.status, found
