"""Traces: searched for, and one as a waterfall with its log lines and queries."""

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from atoll.collector.query import TraceFilter, Window
from atoll.dashboard.site import Site, number_of
from atoll.dashboard.waterfall import waterfall
from atoll.errors import AtollError

LIMIT = 50
KNOWN = 3 * 3_600.0
"""Seconds of which the services are offered to choose from."""

CHOICES = 500

_ID = re.compile(r"[0-9a-fA-F]{4,32}")


def routes(site: Site) -> list[Route]:
    def search(request: Request) -> Response:
        said = request.query_params
        wanted = said.get("id", "").strip()
        if _ID.fullmatch(wanted):
            return RedirectResponse(f"/traces/{wanted.lower()}", 303)
        chosen = TraceFilter(
            service=said.get("service", ""),
            name=said.get("name", "")[:200],
            least_milliseconds=number_of(request, "least"),
            failed=bool(said.get("failed")),
            limit=LIMIT,
        )
        found = sorted(site.sources.query.traces(chosen), key=lambda each: each.start, reverse=True)
        return site.page(
            request,
            "traces.html",
            traces=found,
            longest=max((each.milliseconds for each in found), default=1.0) or 1.0,
            chosen=chosen,
            wanted=wanted,
            services=services(site, chosen.service),
            limit=LIMIT,
        )

    def one(request: Request) -> Response:
        try:
            trace = site.sources.query.trace(request.path_params["id"])
        except AtollError as error:
            raise HTTPException(404, error.problems[0].sentence) from error
        return site.page(request, "trace.html", trace=trace, waterfall=waterfall(trace))

    return [Route("/traces", search), Route("/traces/{id}", one)]


def services(site: Site, chosen: str = "") -> list[str]:
    """Names to choose from, CHOICES of the busiest."""
    known = sorted(site.sources.query.services(Window.last(KNOWN)), key=lambda each: -each.figures.calls)
    names = {each.service for each in known[:CHOICES]}
    return sorted({*names, *([chosen] if chosen else [])})
