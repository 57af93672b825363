"""Which circuit breakers of a run are not closed, as its processes' figures tell."""

import asyncio

import msgspec

from atoll.engines.engine import HttpGet
from atoll.provision.http import ask
from atoll.supervisor.plan import HOST
from atoll.supervisor.status import ProcessStatus, Status
from atoll.wire.breakers import breakers

_WITHIN = 1.0
"""Seconds that the answer of a process is waited for."""


async def with_breakers(status: Status) -> Status:
    """The status, with the breakers of all processes that answer in time."""
    rows = await asyncio.gather(*map(_with_breakers, status.processes))
    return msgspec.structs.replace(status, processes=tuple(rows))


async def _with_breakers(row: ProcessStatus) -> ProcessStatus:
    if row.kind != "service" or not row.admin:
        return row
    try:
        async with asyncio.timeout(_WITHIN):
            reply = await ask(HttpGet("/metrics", port=row.admin, host=HOST))
    except (OSError, TimeoutError):
        return row
    return msgspec.structs.replace(row, breakers=breakers(reply.body))
