"""When to stop calling a destination that keeps failing."""

from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    """closed -(too many failures)-> open -(time)-> half-open -(a probe succeeds)-> closed, -(all fail)-> open.

    The numbers are what the gauge shows.
    """

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Permit(IntEnum):
    """What `enter` answers. A PROBE is a call that is let through to see whether the destination is back."""

    NO = 0
    CALL = 1
    PROBE = 2


CLOSED, HALF_OPEN, OPEN = State
NO, CALL, PROBE = Permit
"""The members by themselves: on Python 3.11 asking an enumeration for one costs more than the rest of a guard."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When it opens, and how it asks whether it may close.

    window: seconds looked back on, in ten equal parts. share: of calls that failed. calls: fewer say nothing.
    wait: seconds from opening to the first probe, and from each probe to the next, answered or not.
    """

    window: float = 10.0
    share: float = 0.5
    calls: int = 20
    wait: float = 1.0


_PARTS = 10


class Breaker:
    """A circuit breaker. Pure: `now` is in seconds of any one monotonic clock.

    Every permit is handed back once, by `succeeded`, `failed` or `abandoned`. What calls that began before it
    opened say afterwards is not heard: they tell of the time that is already judged.
    Failures are weighed when one arrives, so a success never opens it.
    Probes go out at a steady pace: a slow destination is not asked more often for being slow, and whatever went before,
    one that is back is found within `wait` and the time of one call.
    """

    __slots__ = ("_calls", "_failures", "_limits", "_part", "_part_length", "_probes", "_retry_at", "state")

    def __init__(self, limits: BreakerLimits) -> None:
        self.state = CLOSED
        self._limits = limits
        self._part_length = limits.window / _PARTS
        # The counts of the last ten parts of the window; part number n is at n % 10.
        self._calls = [0] * _PARTS
        self._failures = [0] * _PARTS
        self._part = 0
        self._retry_at = 0.0
        self._probes = 0  # under way: at most as many as there are waits in the longest call, and one

    def enter(self, now: float) -> Permit:
        """Whether a call may be made now."""
        if self.state is CLOSED:
            return CALL
        if now < self._retry_at:
            return NO
        self.state = HALF_OPEN
        self._probes += 1
        self._retry_at = now + self._limits.wait
        return PROBE

    def succeeded(self, permit: Permit, now: float) -> None:
        """The destination answered the call."""
        if permit is PROBE:
            self._probes -= 1
            if self.state is not CLOSED:
                self._close()
        elif self.state is CLOSED:
            part = int(now / self._part_length)
            self._calls[(part if part == self._part else self._advance(part)) % _PARTS] += 1

    def failed(self, permit: Permit, now: float) -> None:
        """The destination did not answer the call, or with an error of its own."""
        if permit is PROBE:
            self.abandoned(permit)
        elif self.state is CLOSED:
            index = self._advance(int(now / self._part_length)) % _PARTS
            self._calls[index] += 1
            self._failures[index] += 1
            calls, failures = self.counts
            if calls >= self._limits.calls and failures >= self._limits.share * calls:
                self.state = OPEN
                self._retry_at = now + self._limits.wait

    def abandoned(self, permit: Permit) -> None:
        """The call ended without a verdict on the destination: its caller gave up, or it was never sent."""
        if permit is PROBE:
            self._probes -= 1
            if self.state is HALF_OPEN and not self._probes:
                self.state = OPEN

    @property
    def counts(self) -> tuple[int, int]:
        """Calls and failures in the window, as of the last one."""
        return sum(self._calls), sum(self._failures)

    @property
    def retry_at(self) -> float:
        """When the next probe may be made, while it is not closed."""
        return self._retry_at

    def _close(self) -> None:
        self.state = CLOSED
        self._calls = [0] * _PARTS
        self._failures = [0] * _PARTS

    def _advance(self, part: int) -> int:
        """Forget the parts that left the window; the present one, which is never an earlier one."""
        for gone in range(self._part + 1, min(part, self._part + _PARTS) + 1):
            self._calls[gone % _PARTS] = 0
            self._failures[gone % _PARTS] = 0
        self._part = max(part, self._part)
        return self._part
