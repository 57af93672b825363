"""Log lines: searched for, followed as they come, one with all that it says."""

from collections.abc import AsyncGenerator
from typing import get_args

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atoll.collector.query import LogFilter
from atoll.collector.values import Severity
from atoll.dashboard.live import event
from atoll.dashboard.pages.traces import services
from atoll.dashboard.site import Site

LIMIT = 200
EVERY = 0.5
"""Seconds between two looks for further lines."""

_LAST = (1 << 63) - 1
"""The store counts no further."""

_SILENT = 30
"""Looks without a line, after which something is sent all the same."""


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        chosen = _filter(request)
        # First the place where the tail begins: a line that comes meanwhile is seen twice rather than never.
        last = site.sources.query.last_log()
        found = site.sources.query.logs(chosen)
        newest = found[-1].id if found else last
        return site.page(
            request,
            "logs.html",
            logs=sorted(found, key=lambda each: each.time, reverse=True),
            chosen=chosen,
            last=newest,
            services=services(site, chosen.services[0] if chosen.services else ""),
            severities=get_args(Severity),
        )

    async def live(request: Request) -> Response:
        chosen = _filter(request)
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return site.live.answer(tail(site, chosen, int(after) if after.isdigit() and len(after) < 19 else None))

    def one(request: Request) -> Response:
        number = min(request.path_params["number"], _LAST)
        found = site.sources.query.logs(LogFilter(after=number - 1, limit=1))
        if not found or found[0].id != number:
            raise HTTPException(404, "This line is no longer kept.")
        return site.page(request, "log.html", log=found[0])

    return [Route("/logs", page), Route("/live/logs", live), Route("/logs/{number:int}", one)]


async def tail(site: Site, chosen: LogFilter, after: int | None) -> AsyncGenerator[str, None]:
    """Lines as they come, the oldest first."""
    last = after if after is not None else await run_in_threadpool(site.sources.query.last_log)
    silent = 0
    while True:
        found = await run_in_threadpool(
            site.sources.query.logs, msgspec.structs.replace(chosen, after=last, limit=LIMIT)
        )
        silent = 0 if found else silent + 1
        if not found and await run_in_threadpool(site.sources.query.last_log) < last:
            last = 0  # the store began anew: it was removed, or all that was in it was too old
        for log in found:
            last = log.id
            yield event(site.piece("log_rows.html", logs=[log]), str(log.id))
        if silent >= _SILENT:
            silent = 0
            yield ": nothing new\n\n"
        if not await site.live.pause(EVERY):
            return


def _filter(request: Request) -> LogFilter:
    said = request.query_params
    severity = said.get("severity", "trace")
    service = said.get("service", "")
    return LogFilter(
        services=(service,) if service else (),
        severity=severity if severity in get_args(Severity) else "trace",  # type: ignore[arg-type]
        text=said.get("text", "")[:200],
        trace=said.get("trace", "")[:32],
        limit=LIMIT,
    )
