"""The live map: who asks whom, how often, how well; what is wrong is red."""

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atoll.collector.query import Window
from atoll.dashboard.crowd import crowd
from atoll.dashboard.drawing import drawing
from atoll.dashboard.live import Shared
from atoll.dashboard.site import WINDOWS, Site, window_of

EVERY = 1.0
"""Seconds between two looks."""


def routes(site: Site) -> list[Route]:
    def made(window: str) -> Markup:
        graph = site.sources.graph(Window.last(WINDOWS[window]))
        drawn = crowd(graph)
        return site.piece(
            "map_piece.html", graph=graph, wrong=graph.wrong, drawn=drawn, drawing=drawing(drawn), window=window
        )

    piece = Shared(made, EVERY)

    def page(request: Request) -> Response:
        window, _ = window_of(request)
        return site.page(request, "map.html", piece=piece(window), window=window, windows=list(WINDOWS))

    async def live(request: Request) -> Response:
        window, _ = window_of(request)
        return site.live.answer(site.live.changes(lambda: piece(window), EVERY))

    return [Route("/", page), Route("/live/map", live)]
