"""python -m atoll.dashboard COLLECTION.json: the collector, and pages that show what it keeps."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from atoll.collector.__main__ import read_document
from atoll.collector.serving import Collector, Served, serve
from atoll.dashboard.app import application
from atoll.dashboard.live import Live
from atoll.dashboard.sources import Sources
from atoll.errors import AtollError
from atoll.model.launch import Collection
from atoll.model.references import Source, resolve


def _reveal(source: Source) -> str:
    return resolve(source, lambda path: Path(path).read_text().strip(), os.environ.__getitem__)


async def show(document: Collection) -> None:
    """Until told to stop."""
    async with Collector(document) as collector:
        served = [collector.served]
        if document.dashboard is not None:
            live = Live()
            sources = Sources(document.system, collector.query, document.dashboard)
            token = _reveal(document.dashboard.token) if document.dashboard.token else ""
            pages = application(sources, live, token)
            served.append(Served(pages, document.dashboard.listen, stopping=live.stop))
        await serve(served)


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        uvloop.run(show(read_document(arguments[0])))
    except (AtollError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
