"""Alerts: Alertmanager's where one runs, and what figures and processes tell by themselves."""

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atoll.collector.query import Window
from atoll.dashboard.live import Shared
from atoll.dashboard.site import WINDOWS, Site
from atoll.dashboard.sources import ALERTMANAGER

WINDOW = "5 min"
EVERY = 2.0
LISTED = 200
"""Of a kind at most; it says how many more there are."""


def routes(site: Site) -> list[Route]:
    def made(window: str) -> Markup:
        watching = site.sources.watching()
        url, firing = watching.get(ALERTMANAGER, ""), site.sources.alerts()
        graph = site.sources.graph(Window.last(WINDOWS[window]))
        return site.piece(
            "alerts_piece.html",
            url=url,
            firing=firing,
            wrong=graph.wrong,
            watching=watching,
            window=window,
            is_run=site.sources.control is not None,
            shown=LISTED,
        )

    piece = Shared(made, EVERY)

    def page(request: Request) -> Response:
        return site.page(request, "alerts.html", piece=piece(WINDOW))

    async def live(request: Request) -> Response:  # noqa: ARG001
        return site.live.answer(site.live.changes(lambda: piece(WINDOW), EVERY))

    return [Route("/alerts", page), Route("/live/alerts", live)]
