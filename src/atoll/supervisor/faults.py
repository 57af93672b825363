"""What processes of a run are told to do wrong on purpose: at once, and when they are started again."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from atoll.engines.engine import HttpGet
from atoll.errors import FAULT_IMPOSSIBLE
from atoll.model.launch import FaultOrder, InjectedFault, Launch
from atoll.provision.http import ask
from atoll.supervisor.home import Home
from atoll.supervisor.install import secret
from atoll.supervisor.plan import HOST, Plan, fault_token
from atoll.supervisor.process import Process
from atoll.supervisor.state import Known
from atoll.supervisor.status import named

_LISTENS_WITHIN = 8.0
"""Seconds in which a process that has just begun can be told; who orders waits for ten."""
_LOOK_AGAIN = 0.02


class FaultAsked(msgspec.Struct, frozen=True, tag="fault"):
    """Let processes, or all of a service, fail. Answered with the names of the processes.

    names: of services or processes. fault: None leaves what they do as it is. kill: kill -9 them, once.
    """

    names: tuple[str, ...]
    fault: InjectedFault | None = None
    kill: bool = False


class Running(Protocol):
    """A process that runs, and its admin port."""

    @property
    def process(self) -> Process: ...
    @property
    def port(self) -> int: ...


class Faults:
    """The faults of one run, by process."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._faults: dict[str, InjectedFault] = {}

    @property
    def shown(self) -> Mapping[str, str]:
        """In words, by process."""
        return {name: str(fault) for name, fault in self._faults.items()}

    def launch(self, launch: Launch) -> Launch:
        """The document with what the process is to do wrong from its start."""
        fault = self._faults.get(launch.replica, InjectedFault())
        secret(self._home.secrets, fault_token(self._home).name)
        return msgspec.structs.replace(launch, fault=fault)

    async def order(self, asked: FaultAsked, known: Known, plan: Plan, running: Iterable[Running]) -> tuple[str, ...]:
        """Carry it out; the names of the processes. Raises NO_SUCH_PROCESS and FAULT_IMPOSSIBLE, and then nothing."""
        names = tuple(dict.fromkeys(each.name for name in asked.names for each in named(known, name)))
        fault = asked.fault
        if fault is not None:
            for name in names:
                self._check(name, plan)
            self._faults |= dict.fromkeys(names, fault)
            self._faults = {name: each for name, each in self._faults.items() if each}
        for each in [each for each in running if each.process.name in names]:
            if asked.kill:
                each.process.signal("SIGKILL")
            elif fault is not None:
                await self._tell(each, fault)
        return names

    def _check(self, name: str, plan: Plan) -> None:
        process = plan.process(name)
        if process is None or process.launch is None:
            what = "an engine" if process is None else "a program"
            reason = f"it is {what}, and atoll is not inside of it"
            raise FAULT_IMPOSSIBLE.error(name=name, reason=reason)

    async def _tell(self, running: Running, fault: InjectedFault) -> None:
        order = FaultOrder(secret(self._home.secrets, fault_token(self._home).name), fault)
        where = HttpGet("/fault", port=running.port, host=HOST)
        name, limit = running.process.name, asyncio.get_running_loop().time() + _LISTENS_WITHIN
        while running.process.exit is None:
            try:
                reply = await ask(where, method="PUT", body=msgspec.json.encode(order))
            except OSError as error:
                if asyncio.get_running_loop().time() > limit:
                    raise FAULT_IMPOSSIBLE.error(name=name, reason=f"it does not answer: {error}") from error
                # It has just begun, and was told what was so then; or it has just ended, and the next one is told.
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            if reply.status != 200:
                raise FAULT_IMPOSSIBLE.error(name=name, reason=f"it answers {reply.status}: {reply.body}")
            return
