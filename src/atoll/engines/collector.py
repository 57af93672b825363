"""The collector as one process on this machine, with the dashboard in it."""

from pathlib import PurePath

import msgspec

from atoll.engines.engine import Command, Engine, File, HttpGet
from atoll.model.launch import Collection

NAME = "collector"


def is_loopback(address: str) -> bool:
    """Whether only who is on this machine can ask there. address: "127.0.0.1:8090", "[::1]:8090"."""
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def engine(python: PurePath, document: Collection, path: PurePath) -> Engine:
    """python: an interpreter that has atoll[local]. path: where the document is written."""
    module = "atoll.dashboard" if document.dashboard else "atoll.collector"
    command = Command(
        arguments=(str(python), "-m", module, str(path)),
        environment={"PYTHONUNBUFFERED": "1"},
        # It stores what it has taken within a second.
        grace=5.0,
    )
    port = int(document.listen.rpartition(":")[2])
    written = msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"
    return Engine(NAME, (File(path, written),), command, HttpGet("/health/ready", port))
