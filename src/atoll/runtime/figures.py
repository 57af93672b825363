"""Answers Prometheus with the figures of engines inside a cluster."""

import asyncio
from collections.abc import Callable

from atoll.model.figures import FiguresOf
from atoll.model.references import Source
from atoll.provision.figures import PostgresFigures, answering, nats_read
from atoll.runtime.listener import split
from atoll.wire.exposition import page


async def serve(document: FiguresOf, resolve: Callable[[Source], str]) -> None:
    """Until the process is told to end; its pages are /metrics and /health/live."""
    postgres = PostgresFigures(resolve(document.postgres)) if document.postgres else None
    broker = split(document.nats) if document.nats else None

    async def metrics() -> str:
        figures = await postgres.read() if postgres else []
        return page(figures + (await nats_read(*broker) if broker else []))

    async def alive() -> str:
        return "alive\n"

    async with answering(*split(document.listen), {"/metrics": metrics, "/health/live": alive}):
        await asyncio.Event().wait()
