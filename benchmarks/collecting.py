"""A collector to measure with."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from atoll.model.launch import Collection
from benchmarks.processes import python, server


@contextlib.contextmanager
def collector(folder: Path, port: int) -> Iterator[psutil.Process]:
    """The process, on the servers' core. folder: of its document, and of its store."""
    document = Collection(system="benchmark", listen=f"127.0.0.1:{port}", folder=str(folder / "store"))
    path = folder / "collection.json"
    path.write_bytes(msgspec.json.encode(document))
    with server(python("-m", "atoll.collector", str(path)), port) as process:
        yield process
