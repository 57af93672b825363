"""Alerts: Alertmanager's where one runs, and what figures and processes tell by themselves."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atoll.collector.query import Window
from atoll.dashboard.site import WINDOWS, Site
from atoll.dashboard.sources import ALERTMANAGER

WINDOW = "5 min"
EVERY = 2.0


def routes(site: Site) -> list[Route]:
    def piece() -> str:
        watching = site.sources.watching()
        url, firing = watching.get(ALERTMANAGER, ""), site.sources.alerts()
        graph = site.sources.graph(Window.last(WINDOWS[WINDOW]))
        return site.piece(
            "alerts_piece.html",
            url=url,
            firing=firing,
            wrong=graph.wrong,
            watching=watching,
            window=WINDOW,
            is_run=site.sources.control is not None,
        )

    def page(request: Request) -> Response:
        return site.page(request, "alerts.html", piece=piece())

    async def live(request: Request) -> Response:  # noqa: ARG001
        return site.live.answer(site.live.changes(piece, EVERY))

    return [Route("/alerts", page), Route("/live/alerts", live)]
