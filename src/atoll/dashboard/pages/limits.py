"""What is kept, and which limits were reached."""

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atoll.collector.limits import HITS
from atoll.dashboard.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        query = site.sources.query
        hits = query.limits()
        reached = {hit.name for hit in hits}
        others = {name: meaning for name, meaning in HITS.items() if name not in reached}
        return site.page(
            request,
            "limits.html",
            stored=query.stored(),
            held=query.held(),
            reached=hits,
            others=others,
            now=time.time(),
        )

    return [Route("/limits", page)]
