"""Which requests an application is given, and which are refused because it can't keep up."""

import asyncio
import time

from atoll.runtime.resilience.shedding import Shedder
from atoll.runtime.telemetry.metrics import Metrics

_LOOK = 0.01
"""Seconds between two looks at how late the loop is, while anything is at work."""


class Place:
    """Of one request among those at work; `leave` may follow more than once."""

    __slots__ = ("_admission",)

    def __init__(self, admission: "Admission") -> None:
        self._admission: Admission | None = admission

    def leave(self) -> None:
        if self._admission is not None:
            self._admission.at_work -= 1
            self._admission = None


class Admission:
    """The limit that server.py has built in, for whatever else serves requests: see resilience/shedding.py.

    at_work: requests that have a place.
    """

    def __init__(self, bound: int, metrics: Metrics) -> None:
        """bound: most requests at once, however well the process keeps up."""
        self.at_work = 0
        self._shedder = Shedder(bound, time.monotonic())
        self._looking = False
        self._due = 0.0
        limit = metrics.gauge("atoll.server.limit", "Most requests that handlers may have now.", {})
        limit.read = lambda: float(self._shedder.limit)
        self._shed = metrics.counter("atoll.server.shed", "Requests answered 503 for want of room.", {})

    def enter(self) -> Place | None:
        """A place for a request; None where it is to be refused, which is counted."""
        shedder = self._shedder
        shedder.busiest = max(shedder.busiest, self.at_work + 1)
        if self.at_work >= shedder.limit:
            self._shed.add()
            return None
        self.at_work += 1
        if not self._looking:
            self._looking = True
            self._look_again()
        return Place(self)

    def _look_again(self) -> None:
        self._due = time.monotonic() + _LOOK
        asyncio.get_running_loop().call_later(_LOOK, self._look)

    def _look(self) -> None:
        self._shedder.look(time.monotonic(), self._due)
        self._looking = self.at_work > 0
        if self._looking:
            self._look_again()
