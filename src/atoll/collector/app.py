"""OTLP over HTTP: what senders of any kind bring. Source: OTLP 1.5."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from atoll.collector.arrivals import Arrival
from atoll.collector.bodies import JSON, message, plain
from atoll.collector.limits import Limits
from atoll.collector.records import read_logs, read_metrics
from atoll.collector.refusals import Refused, too_large
from atoll.collector.spans import SpanReader
from atoll.collector.writer import Writer
from atoll.wire.protobuf import number_field, text_field

PATIENCE = 30.0
"""Seconds for the body of a request to arrive."""

Signal = Literal["traces", "logs", "metrics"]

logger = logging.getLogger("atoll.collector")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes one signal. What is answered with 200 is stored."""

    signal: Signal
    writer: Writer
    limits: Limits

    async def receive(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            with self.writer.room() as take:
                body = await self._body(request, take)
                encoding = request.headers.get("content-encoding", "").lower()
                await self.writer.put(lambda reader: self._read(reader, body, kind, encoding), len(body))
        except Refused as refused:
            self.writer.hit(refused.limit)
            logger.info("%s refused with %d: %s", self.signal, refused.status, refused.reason)
            return _refusal(refused, kind, self.limits)
        except (ClientDisconnect, TimeoutError):
            return Response(status_code=408)
        return Response(b"{}" if kind == JSON else b"", media_type=kind)

    async def _body(self, request: Request, take: Callable[[int], None]) -> bytes:
        """Raises Refused as soon as it is too large, or there is no room for it."""
        most = self.limits.request
        said = request.headers.get("content-length", "")
        if said.isdigit() and int(said[:20]) > most:
            raise too_large(f"a request may have {most} bytes")
        parts: list[bytes] = []
        size = 0
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large(f"a request may have {most} bytes")
                take(len(part))
                parts.append(part)
        return b"".join(parts)

    def _read(self, reader: SpanReader, body: bytes, kind: str, encoding: str) -> Arrival:
        """In the writer's thread. Raises Refused, MalformedError."""
        data = message(plain(body, encoding, self.limits.unpacked), kind, self.signal)
        match self.signal:
            case "traces":
                return Arrival(size=len(data), body=data, groups=reader.read(data))
            case "logs":
                return read_logs(data, reader, self.limits, time.time_ns())
            case "metrics":
                return read_metrics(data, reader, self.limits)


def _refusal(refused: Refused, kind: str, limits: Limits) -> Response:
    """A google.rpc.Status, as OTLP wants it."""
    headers = {"retry-after": str(limits.retry_after)} if refused.is_passing else {}
    if kind == JSON:
        text = msgspec.json.encode({"code": refused.status, "message": refused.reason})
        return Response(text, refused.status, headers, JSON)
    status = number_field(1, refused.status) + text_field(2, refused.reason)
    return Response(status, refused.status, headers, "application/x-protobuf")


def application(writer: Writer, limits: Limits) -> Starlette:
    """Takes traces, logs and metrics, and tells that it lives."""

    async def health(_: Request) -> Response:
        return PlainTextResponse("ready\n")

    signals: tuple[Signal, ...] = ("traces", "logs", "metrics")
    return Starlette(
        routes=[
            *(Route(f"/v1/{each}", Receiver(each, writer, limits).receive, methods=["POST"]) for each in signals),
            Route("/health/ready", health),
            Route("/health/live", health),
        ]
    )
