"""One service process from start to ordered stop."""

import asyncio
import importlib
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Protocol, cast

from atoll.errors import START_FAILED, AtollError
from atoll.model.contract import Contract, read_contract
from atoll.model.launch import CallTo, Launch
from atoll.model.references import Source
from atoll.model.resources import Database, Publisher
from atoll.model.service import Implementation, read_dependencies, read_implementation
from atoll.model.system import is_factory
from atoll.runtime.client import Destination, client_of
from atoll.runtime.faults import Faults
from atoll.runtime.health import LARGEST_ORDER, Admin, Health
from atoll.runtime.injection import Provided, arguments_for
from atoll.runtime.listener import Listener
from atoll.runtime.loading import load, user_frames
from atoll.runtime.server import Claims
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.destination import parse_headers
from atoll.runtime.telemetry.export import Exporter
from atoll.runtime.telemetry.machine import observe
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.shipping import Lines
from atoll.runtime.telemetry.traces import MOST_WAITING, Recorder

Reveal = Callable[[Source], str]
"""The value behind a reference."""

ENTRANCES: Mapping[str, str] = {"service": "atoll.runtime.operations", "asgi": "atoll.runtime.asgi"}
"""The module whose `listener_of` lets calls in, by kind; only one of them is imported."""

_STORES = "atoll.runtime.stores"

_CLEANING = 2.0
"""Seconds of the grace period kept for what comes after the drain."""

logger = logging.getLogger("atoll.host")


@dataclass(frozen=True, slots=True)
class Made:
    """What a listener serves: the user's instance, or ASGI application, and what goes with it."""

    launch: Launch
    telemetry: Telemetry
    instance: object
    contracts: tuple[Contract, ...]
    claims: Claims | None
    drain_within: float
    faults: Faults


class Listening(Protocol):
    """What lets calls in."""

    address: str

    async def open(self) -> None: ...
    async def drain(self, timeout: float) -> bool: ...
    async def stop(self, timeout: float) -> None:
        """Cut what the drain left. timeout: seconds for the handlers' cleaning up."""
        ...


class Stores(Protocol):
    """What runtime/stores.py has."""

    @property
    def database(self) -> Database | None: ...
    @property
    def claims(self) -> Claims | None: ...
    @property
    def publisher(self) -> Publisher | None: ...
    async def open(self) -> None: ...
    def start(self, instance: object) -> None: ...
    async def drain(self, timeout: float) -> bool: ...
    async def stop(self, timeout: float) -> None: ...
    async def close(self) -> None: ...


class Host:
    """Wires what the launch document says, serves until told to stop, and takes it apart in order.

    lines: encoded log records, for who takes telemetry; None where they do not go there.
    starting → ready → stopping. Opened: admin port, broker, database, clients, instance, events, listener.
    """

    def __init__(self, launch: Launch, reveal: Reveal, lines: Lines | None = None) -> None:
        self._launch = launch
        self._reveal = reveal
        self._lines = lines
        recorder = Recorder(MOST_WAITING if launch.telemetry.endpoint else 0)
        self._telemetry = Telemetry(recorder, Metrics(launch.bounds), launch.service, launch.replica)
        observe(self._telemetry, launch.system)
        self._health = Health()
        self._faults = Faults(reveal(launch.fault_token) if launch.fault_token else "", launch.fault)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; returns when everything under way is finished or the grace period is over.

        Raises AtollError with what keeps the service from starting.
        """
        launch = self._launch
        async with AsyncExitStack() as stack:
            port = Admin(self._health, self._telemetry.metrics, self._faults)
            admin = Listener(launch.admin, port, body_limit=LARGEST_ORDER)
            await admin.open()
            stack.callback(admin.abort)
            if launch.telemetry.endpoint:
                headers = parse_headers(self._reveal(launch.telemetry.headers)) if launch.telemetry.headers else {}
                await stack.enter_async_context(Exporter(launch, self._telemetry, headers, self._lines))
            sys.path[:0] = launch.import_path
            made, stores = await self._make(stack)
            listening = cast(Listening, importlib.import_module(ENTRANCES[launch.kind]).listener_of(made))
            await listening.open()
            if stores is not None:
                stores.start(made.instance)
            self._health.phase = "ready"
            places = {"address": listening.address, "admin": admin.address}
            logger.info("%s serves at %s", launch.replica, listening.address, extra=places)
            await stop.wait()
            await self._stop(listening, stores)

    async def _stop(self, listening: Listening, stores: Stores | None) -> None:
        launch = self._launch
        self._health.phase = "stopping"
        logger.info("%s stops", launch.replica)
        drains = [self._drain(listening)]
        if stores is not None:
            # At once: other replicas ask for events by themselves.
            drains.append(stores.drain(launch.balancer_wait + self._drain_within))
        if not all(await asyncio.gather(*drains)):
            logger.warning("%s cuts what did not end within its grace period", launch.replica)
        await listening.stop(_CLEANING / 2)
        # Consumers before the pool: a handler at work still needs its transaction to commit.
        if stores is not None:
            await stores.stop(_CLEANING / 2)

    async def _drain(self, listening: Listening) -> bool:
        # The balancers need that long to notice; until then new requests are welcome.
        await asyncio.sleep(self._launch.balancer_wait)
        return await listening.drain(self._drain_within)

    @property
    def _drain_within(self) -> float:
        return max(0.0, self._launch.grace - self._launch.balancer_wait - _CLEANING)

    async def _make(self, stack: AsyncExitStack) -> tuple[Made, Stores | None]:
        """The instance with everything it wants; the stack takes it apart in reverse."""
        launch = self._launch
        target = load(launch.target)
        implementation = read_target(launch, target)
        stores = await self._stores(stack, implementation)
        clients = {call.parameter: await self._client(stack, call) for call in launch.calls if call.parameter}
        database, publisher = (stores.database, stores.publisher) if stores else (None, None)
        provided = Provided(launch, self._reveal, clients, database, publisher)
        instance = target
        if launch.kind == "service" or is_factory(implementation.type):
            instance = await self._instance(stack, implementation, provided)
        claims = stores.claims if stores else None
        contracts = implementation.contracts
        made = Made(launch, self._telemetry, instance, contracts, claims, self._drain_within, self._faults)
        return made, stores

    async def _stores(self, stack: AsyncExitStack, implementation: Implementation) -> Stores | None:
        launch = self._launch
        if launch.database is None and launch.messaging is None and not implementation.schedules:
            return None
        made = importlib.import_module(_STORES).Stores(launch, implementation, self._telemetry, self._reveal)
        stores = cast(Stores, made)
        stack.push_async_callback(stores.close)
        await stores.open()
        return stores

    async def _client(self, stack: AsyncExitStack, call: CallTo) -> object:
        destination = Destination(call.service, call.addresses, self._telemetry)
        await destination.open()
        stack.push_async_callback(destination.close)
        contract, _ = read_contract(cast(type[object], load(call.contract)))
        return client_of(contract, destination)

    async def _instance(self, stack: AsyncExitStack, implementation: Implementation, provided: Provided) -> object:
        """The user's class or factory, called; and entered, where it is an async context manager."""
        arguments = arguments_for(implementation.dependencies, provided)
        try:
            instance = implementation.type(**arguments)
            if hasattr(instance, "__aenter__"):
                await stack.enter_async_context(cast(AbstractAsyncContextManager[object], instance))
        except AtollError:
            raise
        except Exception as error:
            place, detail = user_frames(error)
            reason = f"{type(error).__name__}: {error}"
            raise START_FAILED.error(place, detail=detail, service=self._launch.service, reason=reason) from error
        return instance


def read_target(launch: Launch, target: object) -> Implementation:
    """What there is to serve: of an application or its factory only the dependencies. `check` has seen it before."""
    if launch.kind == "service":
        return read_implementation(cast(type[object], target))[0]
    application = cast(Callable[..., object], target)
    dependencies = (
        read_dependencies(application, launch.service, skip_first=False)[0] if is_factory(application) else ()
    )
    return Implementation(launch.service, application, (), dependencies, (), (), (), "")
