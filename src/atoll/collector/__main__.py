"""python -m atoll.collector COLLECTION.json: takes OTLP, follows logs, keeps both."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from atoll.collector.pods import Pods, in_cluster
from atoll.collector.serving import Collector, serve
from atoll.collector.writer import Writer
from atoll.errors import NO_LAUNCH, AtollError
from atoll.model.launch import Collection


def read_document(path: str) -> Collection:
    """Raises AtollError NO_LAUNCH."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Collection)
    except (OSError, msgspec.DecodeError) as error:
        raise NO_LAUNCH.error(source=path, reason=str(error)) from error


async def collect(document: Collection) -> None:
    """Until told to stop."""
    async with Collector(document) as collector:
        if document.namespace:
            collector.follow(pods_of(document, collector.writer))
        await serve([collector.served])


def pods_of(document: Collection, writer: Writer) -> Pods:
    """Those of the system that we run among."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Pods(document.system, document.namespace, writer, *in_cluster(address))


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        uvloop.run(collect(read_document(arguments[0])))
    except (AtollError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
