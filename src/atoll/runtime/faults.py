"""What a process does wrong on purpose, so that one sees how the others take it."""

import asyncio
import hmac
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import cast

import msgspec

from atoll.model.launch import FaultOrder, InjectedFault
from atoll.runtime.refusals import FORBIDDEN, NOT_FOUND, NOT_JSON, Refusal
from atoll.runtime.serving import ServedOperation

logger = logging.getLogger("atoll.faults")


class Injected(Exception):
    """Raised instead of what a handler would have done."""

    def __init__(self) -> None:
        super().__init__("answered 500 on purpose, as `atoll fault` asked")


class Faults:
    """Puts a fault before the handlers of a service, and takes it away again; without one they are called as ever.

    token: of who may change it; "" where nobody may. draw: a number from 0 to below 1.
    """

    def __init__(
        self, token: str = "", fault: InjectedFault | None = None, draw: Callable[[], float] = random.random
    ) -> None:
        self._token, self._draw = token, draw
        self._handlers: list[tuple[ServedOperation, Callable[..., object]]] = []
        self.fault = fault or InjectedFault()

    def attach(self, served: ServedOperation) -> None:
        """Have this operation suffer as well."""
        self._handlers.append((served, served.handler))
        self._place(served, served.handler)

    def order(self, body: bytes) -> Refusal | None:
        """Become what a FaultOrder says. Returns why not, or None."""
        if not self._token:
            return NOT_FOUND
        try:
            order = msgspec.json.decode(body, type=FaultOrder)
        except msgspec.DecodeError as error:
            return Refusal(NOT_JSON.status, NOT_JSON.kind, NOT_JSON.title, f"{error}.")
        if not hmac.compare_digest(order.token.encode(), self._token.encode()):
            return FORBIDDEN
        self.fault = order.fault
        for served, handler in self._handlers:
            self._place(served, handler)
        logger.warning("fault: %s", order.fault or "off")
        return None

    async def strike(self) -> None:
        """Be late, and raise Injected for the share of requests that shall fail."""
        fault = self.fault
        if fault.latency:
            await asyncio.sleep(fault.latency)
        if fault.errors and self._draw() < fault.errors:
            raise Injected

    def _place(self, served: ServedOperation, handler: Callable[..., object]) -> None:
        """In place of the handler instead of a look at each request: what is not there costs nothing."""
        if self.fault:
            handler = self._late_stream(handler) if served.streams else self._late(handler)
        served.become(handler)

    def _late(self, handler: Callable[..., object]) -> Callable[..., object]:
        async def late(**arguments: object) -> object:
            await self.strike()
            return await handler(**arguments)  # type: ignore[misc]  # a handler that is no stream is async

        return late

    def _late_stream(self, handler: Callable[..., object]) -> Callable[..., object]:
        async def late(**arguments: object) -> AsyncIterator[object]:
            await self.strike()
            async with aclosing(cast(AsyncGenerator[object], handler(**arguments))) as values:
                async for value in values:
                    yield value

        return late
