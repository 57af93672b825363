"""A collector in a process of its own, and what it is sent."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from atoll.collector.query import Query
from atoll.model.launch import Collection
from tests.ports import free_port
from tests.waiting import until

T = TypeVar("T")
PROTOBUF = "application/x-protobuf"
PATIENCE = 20.0


class Collecting:
    """`python -m atoll.collector` and its address."""

    def __init__(self, document: Collection, path: Path) -> None:
        self.document, self._path = document, path
        self.port = int(document.listen.rpartition(":")[2])
        self.query = Query(Path(document.folder))
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        self._path.write_bytes(msgspec.json.encode(self.document))
        process = subprocess.Popen([sys.executable, "-m", "atoll.collector", str(self._path)])

        def answers() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}"
            try:
                return self.ask("GET", "/health/ready")[0] == 200
            except OSError:
                return False

        until(answers)
        return process

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read(), {key.lower(): value for key, value in answer.getheaders()}
        finally:
            connection.close()

    def send(self, body: bytes, signal: str = "traces", kind: str = PROTOBUF, encoding: str = "") -> int:
        headers = {"content-type": kind, **({"content-encoding": encoding} if encoding else {})}
        return self.ask("POST", f"/v1/{signal}", body, headers)[0]

    def send_json(self, value: object, signal: str = "traces") -> int:
        return self.send(json.dumps(value).encode(), signal, "application/json")

    def hits(self) -> dict[str, int]:
        return {hit.name: hit.count for hit in self.query.limits()}

    def memory(self) -> int:
        """Bytes that it has held at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def restart(self) -> None:
        self.process = self._start()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE)


@contextmanager
def collecting(folder: Path, **options: object) -> Iterator[Collecting]:
    """options: of the document."""
    document = msgspec.convert(
        {"system": "test", "listen": f"127.0.0.1:{free_port()}", "folder": str(folder / "store"), **options}, Collection
    )
    made = Collecting(document, folder / "collection.json")
    try:
        yield made
    finally:
        if made.process.poll() is None:
            assert made.stop() == 0
