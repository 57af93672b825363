"""python -m atoll.collector COLLECTION.json: takes OTLP, follows logs, keeps both."""

import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import msgspec
import uvloop

from atoll.collector.api_server import in_cluster
from atoll.collector.pods import Pods
from atoll.collector.serving import Collector, serve
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
        follow_pods(document, collector)
        await serve([collector.served])


def follow_pods(document: Collection, collector: Collector) -> Pods | None:
    """Those of the system, where we run among them."""
    if not document.namespace:
        return None
    api = in_cluster(os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"]))
    pods = Pods(document.system, document.namespace, collector.writer, api)
    collector.follow(pods)
    return pods


def run(arguments: Sequence[str], usage: str, work: Callable[[Collection], Coroutine[None, None, None]]) -> int:
    """The exit status of an entry whose one argument is the path of a document."""
    if len(arguments) != 1:
        sys.stderr.write(f"{usage}\n")
        return 2
    try:
        uvloop.run(work(read_document(arguments[0])))
    except (AtollError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], __doc__, collect))
