"""The live map: who asks whom, how often, how well; what is wrong is red."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atoll.collector.query import Window
from atoll.dashboard.drawing import drawing
from atoll.dashboard.site import WINDOWS, Site, window_of

EVERY = 1.0
"""Seconds between two looks."""


def routes(site: Site) -> list[Route]:
    def piece(window: str) -> str:
        graph = site.sources.graph(Window.last(WINDOWS[window]))
        return site.piece("map_piece.html", graph=graph, drawing=drawing(graph), window=window)

    def page(request: Request) -> Response:
        window, _ = window_of(request)
        return site.page(request, "map.html", piece=piece(window), window=window, windows=list(WINDOWS))

    async def live(request: Request) -> Response:
        window, _ = window_of(request)
        return site.live.answer(site.live.changes(lambda: piece(window), EVERY))

    return [Route("/", page), Route("/live/map", live)]
