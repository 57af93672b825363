"""The dashboard as one application: its pages behind their gate."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from atoll.dashboard.access import Access
from atoll.dashboard.live import Live
from atoll.dashboard.pages import alerts, apis, events, limits, logs, map, services, traces  # noqa: A004 (a page is called so)
from atoll.dashboard.site import Site, templates
from atoll.dashboard.sources import Sources

PAGES = (map, services, traces, logs, events, alerts, apis, limits)

_STATIC = Path(__file__).parent / "static"


def application(sources: Sources, live: Live, token: str = "") -> Starlette:
    """token: of who may look; "" on loopback, where everybody of the machine may."""
    site = Site(sources, live, templates())

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return site.page(request, "error.html", error.status_code, code=error.status_code, sentence=error.detail)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ready\n")

    return Starlette(
        routes=[
            *(route for page in PAGES for route in page.routes(site)),
            Route("/health/ready", health),
            Mount("/static", StaticFiles(directory=_STATIC), name="static"),
        ],
        middleware=[Middleware(Access, token=token)],
        exception_handlers={HTTPException: problem},
    )
