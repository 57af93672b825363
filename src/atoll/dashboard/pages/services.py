"""Services: all in a list, and one with its figures, replicas, dependencies and what went wrong lately."""

import time
from dataclasses import replace
from urllib.parse import quote

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from atoll.collector.query import LogFilter, TraceFilter, Window
from atoll.collector.values import Log, Moment, Severity
from atoll.dashboard.access import form_of
from atoll.dashboard.chart import Chart, chart, step_of
from atoll.dashboard.crowd import foremost
from atoll.dashboard.graph import GATEWAY, Graph, processes_of
from atoll.dashboard.live import Shared
from atoll.dashboard.site import WINDOWS, Site, window_of
from atoll.dashboard.words import milliseconds, rate, share
from atoll.errors import AtollError

RECENT = 3_600.0
"""Seconds for which an error is recent."""

LISTED = 200
"""Services in a list at most; it says how many more there are."""

_SHOWN = 12
EVERY = 2.0


def routes(site: Site) -> list[Route]:
    def every(request: Request) -> Response:
        window, span = window_of(request)
        graph = site.sources.graph(span)
        every = [node for node in graph.nodes if node.kind != "topic"]
        nodes = foremost(replace(graph, nodes=tuple(every)), LISTED, LISTED)
        return site.page(request, "services.html", nodes=nodes, all=every, window=window, windows=list(WINDOWS))

    def made(asked: tuple[str, str]) -> Markup:
        name, window = asked
        return site.piece("service_piece.html", **_seen(site, name, Window.last(WINDOWS[window])), shown=LISTED)

    piece = Shared(made, EVERY)

    def one(request: Request) -> Response:
        name = request.path_params["name"]
        window, _ = window_of(request, "30 min")
        shown = piece((name, window))
        failed = TraceFilter(service=name, failed=True, since=_since(), limit=_SHOWN)
        errors = _logged(site, name, "error")
        return site.page(
            request,
            "service.html",
            name=name,
            piece=shown,
            traces=site.sources.query.traces(failed),
            # A failure that it answers for somebody behind it is a warning to it.
            logs=errors or _logged(site, name, "warning"),
            has_errors=bool(errors),
            processes=processes_of(name, site.sources.processes()),
            may_restart=site.sources.control is not None and name != GATEWAY,
            window=window,
            windows=list(WINDOWS),
        )

    async def live(request: Request) -> Response:
        name, (window, _) = request.path_params["name"], window_of(request, "30 min")
        return site.live.answer(site.live.changes(lambda: piece((name, window)), EVERY))

    async def restart(request: Request) -> Response:
        form, name = await form_of(request), request.path_params["name"]
        try:
            await run_in_threadpool(site.sources.required_control().restart, form.get("process") or name)
        except AtollError as error:
            raise HTTPException(409, error.problems[0].sentence) from error
        return RedirectResponse(f"/services/{quote(name)}", 303)

    return [
        Route("/services", every),
        Route("/services/{name:path}", one),
        Route("/live/services/{name:path}", live),
        Route("/restart/{name:path}", restart, methods=["POST"]),
    ]


def _logged(site: Site, name: str, severity: Severity) -> list[Log]:
    """Its last lines that are at least so severe."""
    wanted = LogFilter(services=(name,), severity=severity, since=_since(), limit=_SHOWN)
    return site.sources.query.logs(wanted)[::-1]


def _since() -> int:
    return int((time.time() - RECENT) * 1e9)


def _seen(site: Site, name: str, window: Window) -> dict[str, object]:
    """What of the page changes while one looks at it. Raises HTTPException 404."""
    graph = site.sources.graph(window)
    node = next((each for each in graph.nodes if each.name == name and each.kind != "topic"), None)
    if node is None:
        raise HTTPException(404, f"Nothing that was seen or declared is called {name}.")
    moments = site.sources.query.history(window, name, step_of(window))
    return {
        "name": name,
        "node": node,
        "charts": _charts(moments, window),
        "operations": site.sources.query.operations(window, name)[:50],
        "processes": processes_of(name, site.sources.processes()),
        "asks": _links(graph, name, outward=True),
        "asked": _links(graph, name, outward=False),
    }


def _charts(moments: list[Moment], window: Window) -> dict[str, Chart]:
    return {
        "requests": chart(
            moments,
            window,
            lambda each: each.rate,
            lambda each: each.error_rate,
            lambda each: f"{rate(each.rate)}, {share(each.error_rate)} fail",
        ),
        "p99": chart(moments, window, lambda each: each.p99, lambda _: 0.0, lambda each: milliseconds(each.p99)),
    }


def _links(graph: Graph, name: str, *, outward: bool) -> list[object]:
    return [each for each in graph.links if (each.caller if outward else each.callee) == name]
