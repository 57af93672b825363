"""python -m atoll.dashboard COLLECTION.json: the collector, and pages that show what it keeps."""

import os
import sys
from pathlib import Path

from atoll.collector.__main__ import follow_pods, run
from atoll.collector.serving import Collector, Served, serve
from atoll.dashboard.app import application
from atoll.dashboard.live import Live
from atoll.dashboard.sources import Sources
from atoll.model.launch import BrokerTo, Collection
from atoll.model.references import Source, resolve
from atoll.supervisor.administrator import Login


def _reveal(source: Source) -> str:
    return resolve(source, lambda path: Path(path).read_text().strip(), os.environ.__getitem__)


def _login(broker: BrokerTo) -> Login:
    return Login(broker.url, broker.user, _reveal(broker.password))


async def show(document: Collection) -> None:
    """Until told to stop."""
    async with Collector(document) as collector:
        served = [collector.served]
        pods = follow_pods(document, collector)
        wanted = document.dashboard
        if wanted is not None:
            live = Live()
            login = _login(wanted.broker) if wanted.broker else None
            sources = Sources(document.system, collector.query, wanted, pods.listed if pods else tuple, login)
            pages = application(sources, live, _reveal(wanted.token) if wanted.token else "")
            served.append(Served(pages, wanted.listen, stopping=live.stop))
        await serve(served)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], __doc__, show))
