"""How a call that takes too long is cut off."""

from typing import Generic, TypeVar

T = TypeVar("T")

_SPARE = 20_000_000
"""Nanoseconds, at least, that a handler keeps of its time; a deadline is noticed at most 18 ms late."""


def share(left: int) -> int:
    """How long a call may take that is made by a handler with so much time left; both in nanoseconds.

    It keeps a twentieth: else whoever waits above gives up first, its answer comes too late for anybody, and the one
    next to what is slow never learns that it is.
    """
    return left - max(left // 20, min(_SPARE, left // 2))


_SHIFT = 23  # a slot is 2**23 ns, 8.4 ms
_SLOTS = 512  # 4.3 s for one turn: what lies further ahead is passed over until its turn comes


class Wheel(Generic[T]):
    """Deadlines of many calls under way, looked at together every few milliseconds.

    A timer per call costs more than the rest of its bookkeeping, and nearly none ever rings. Never early, late by at
    most one slot and the time between two looks. Times are nanoseconds of one monotonic clock.
    """

    __slots__ = ("_next", "_slots")

    def __init__(self, now: int) -> None:
        self._slots: list[dict[T, int]] = [{} for _ in range(_SLOTS)]
        self._next = now >> _SHIFT

    @property
    def waiting(self) -> int:
        """How many items are watched; counted now, so that watching need not count."""
        return sum(map(len, self._slots))

    def add(self, item: T, deadline: int) -> dict[T, int]:
        """Watch the item. Returns its slot: when the call ends, `slot.pop(item, None)`."""
        tick = deadline >> _SHIFT
        # One that has passed would lie behind the hand for a whole turn.
        slot = self._slots[(max(self._next, tick)) % _SLOTS]
        slot[item] = deadline
        return slot

    def expired(self, now: int) -> list[T]:
        """Take out and return what has passed."""
        tick = now >> _SHIFT
        passed: list[T] = []
        for number in range(max(self._next, tick - _SLOTS + 1), tick + 1):
            slot = self._slots[number % _SLOTS]
            over = [item for item, deadline in slot.items() if deadline <= now]
            for item in over:
                del slot[item]
            passed += over
        # The present slot is looked at again: its later part has not passed yet.
        self._next = tick
        return passed
