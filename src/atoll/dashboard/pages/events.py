"""Events: topics and who handles them, events as they come, dead letters, and these sent again."""

from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from atoll.dashboard.access import form_of
from atoll.dashboard.broker import Broker, reason_of
from atoll.dashboard.live import event
from atoll.dashboard.site import Site
from atoll.errors import AtollError
from atoll.runtime.events.deadletters import DeadLetter
from atoll.runtime.events.inspect import TopicState

_SILENT = 15
"""Seconds without an event, after which something is sent all the same."""


def routes(site: Site) -> list[Route]:
    broker = site.sources.broker

    async def page(request: Request) -> Response:
        topics: list[TopicState] = []
        letters: list[DeadLetter] = []
        trouble = "" if broker else "The system has no events."
        if broker:
            try:
                topics, letters = await broker.look()
            except AtollError as error:
                trouble = reason_of(error)
        sent = request.query_params.get("sent", "")
        return site.page(
            request,
            "events.html",
            topics=topics,
            letters=letters,
            trouble=trouble,
            sent=int(sent) if sent.isdigit() and len(sent) < 6 else None,
        )

    async def live(request: Request) -> Response:  # noqa: ARG001
        if broker is None:
            raise HTTPException(503, "There is no broker here.")
        return site.live.answer(_tail(site, broker))

    async def redrive(request: Request) -> Response:
        form = await form_of(request)
        if broker is None:
            raise HTTPException(503, "There is no broker here.")
        number = form.get("number", "")
        if number != "all" and not (number.isdigit() and len(number) < 19):
            raise HTTPException(400, "Say which dead letter.")
        try:
            count = await broker.redrive(None if number == "all" else frozenset({int(number)}))
        except AtollError as error:
            raise HTTPException(503, reason_of(error)) from error
        return RedirectResponse(f"/events?sent={count}", 303)

    return [
        Route("/events", page),
        Route("/live/events", live),
        Route("/events/redrive", redrive, methods=["POST"]),
    ]


async def _tail(site: Site, broker: Broker) -> AsyncIterator[str]:
    silent = 0
    try:
        async for seen in broker.follow():
            silent = 0 if seen else silent + 1
            if seen:
                yield event(site.piece("event_rows.html", events=[seen]))
            elif silent >= _SILENT:
                silent = 0
                yield ": nothing new\n\n"
            if site.live.is_over:
                return
    except AtollError:
        return  # the page comes again, and the next one may find the broker
