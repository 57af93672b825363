"""The collector as one process on this machine."""

from pathlib import PurePath

import msgspec

from atoll.engines.engine import Command, Engine, File, HttpGet
from atoll.model.launch import Collection

NAME = "collector"


def engine(python: PurePath, document: Collection, path: PurePath) -> Engine:
    """python: an interpreter that has atoll[local]. path: where the document is written."""
    command = Command(
        arguments=(str(python), "-m", "atoll.collector", str(path)),
        environment={"PYTHONUNBUFFERED": "1"},
        # It stores what it has taken within a second.
        grace=5.0,
    )
    port = int(document.listen.rpartition(":")[2])
    written = msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"
    return Engine(NAME, (File(path, written),), command, HttpGet("/health/ready", port))
