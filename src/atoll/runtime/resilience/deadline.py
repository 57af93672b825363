"""How a call that takes too long is cut off."""

from typing import Generic, TypeVar

T = TypeVar("T")

_SHIFT = 23  # a slot is 2**23 ns, 8.4 ms
_SLOTS = 512  # 4.3 s for one turn: what lies further ahead is passed over until its turn comes


class Wheel(Generic[T]):
    """Deadlines of many calls under way, looked at together every few milliseconds.

    A timer per call costs more than the rest of its bookkeeping, and nearly none ever rings. Never early, late by at
    most one slot and the time between two looks. Times are nanoseconds of one monotonic clock.
    """

    __slots__ = ("_next", "_slots", "waiting")

    def __init__(self, now: int) -> None:
        self._slots: list[dict[T, int]] = [{} for _ in range(_SLOTS)]
        self._next = now >> _SHIFT
        self.waiting = 0

    def add(self, item: T, deadline: int) -> dict[T, int]:
        """Watch the item; returns its slot, to be handed to `remove`."""
        # One that has passed would lie behind the hand for a whole turn.
        slot = self._slots[max(deadline >> _SHIFT, self._next) % _SLOTS]
        slot[item] = deadline
        self.waiting += 1
        return slot

    def remove(self, item: T, slot: dict[T, int]) -> None:
        """The call ended. No harm if its deadline passed first."""
        if slot.pop(item, None) is not None:
            self.waiting -= 1

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
        self.waiting -= len(passed)
        return passed
