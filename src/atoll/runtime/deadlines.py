"""Fails what still waits when its deadline passes."""

import asyncio
import time

from atoll.runtime.resilience.deadline import Wheel

_PERIOD = 0.01  # seconds between two looks; by so much a deadline may be late, and by a slot of the wheel


class DeadlinePassed(Exception):
    """The deadline passed before what was waited for came."""


class Deadlines(Wheel[asyncio.Future[None]]):
    """A wheel of futures and the one timer that turns it, which rests while nothing waits."""

    __slots__ = ("_turning",)

    def __init__(self) -> None:
        super().__init__(time.monotonic_ns())
        self._turning = False

    def watch(self, future: asyncio.Future[None], deadline: int) -> dict[asyncio.Future[None], int]:
        """Have the future raise DeadlinePassed at the deadline, in time.monotonic_ns(). Returns its slot, see `add`."""
        if not self._turning:
            self._turning = True
            # A wheel that rested has many empty slots behind it: it catches up before the first is filled.
            self.expired(time.monotonic_ns())
            asyncio.get_running_loop().call_later(_PERIOD, self._turn)
        return self.add(future, deadline)

    def _turn(self) -> None:
        for future in self.expired(time.monotonic_ns()):
            if not future.done():
                future.set_exception(DeadlinePassed())
        self._turning = self.waiting > 0
        if self._turning:
            asyncio.get_running_loop().call_later(_PERIOD, self._turn)
