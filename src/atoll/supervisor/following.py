"""Keeps a running gateway as the system is: tells it what serves, and asks until it follows."""

import asyncio
from collections.abc import Callable, Mapping

from atoll.engines import envoy
from atoll.engines.envoy import Places
from atoll.supervisor.envoy_admin import change, drain, follows
from atoll.supervisor.gateway import gateway_of
from atoll.supervisor.install import write
from atoll.supervisor.plan import Plan

_FIRST_LOOK = 0.01
_LAST_LOOK = 0.5
_DRAINS_WITHIN = 2.0


class Following:
    """What the gateway was told, and whether it follows.

    serving: the processes that can be asked now, with the port that answers for the health of each.
    follows: Envoy knows every endpoint of what serves, and no other; always so of a system without a gateway.
    """

    def __init__(self, plan: Plan, places: Places) -> None:
        self._plan, self._places = plan, places
        self.serving: Mapping[str, int] = {}
        self.follows = not plan.gateway_port

    def publish(self, serving: Mapping[str, int]) -> None:
        """Another set of processes serves."""
        if serving == self.serving:
            return
        self.serving = serving
        self.follows = not self._plan.gateway_port
        if self._plan.gateway_port:
            for file in envoy.changing(gateway_of(self._plan, serving), self._places):
                write(file)

    async def replan(self, plan: Plan) -> None:
        """The system was declared anew: what is in both declarations is served without a gap."""
        before, self._plan = gateway_of(self._plan, self.serving), plan
        self.follows = not plan.gateway_port
        if plan.gateway_port:
            await change(gateway_of(plan, self.serving), self._places, before)

    async def until_it_follows(self, is_over: Callable[[], bool]) -> None:
        """Wait until Envoy has read what was published, which takes it a few milliseconds, or until it is over."""
        pause = _FIRST_LOOK
        while not self.follows and not is_over():
            asked = self.serving
            self.follows = await follows(gateway_of(self._plan, asked), self._places) and asked == self.serving
            await asyncio.sleep(0 if self.follows else pause)
            pause = min(2 * pause, _LAST_LOOK)

    async def drain(self) -> None:
        """Let what is under way be answered before the gateway is stopped."""
        await drain(self._places, within=_DRAINS_WITHIN)
