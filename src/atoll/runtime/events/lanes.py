"""The order of messages in hand: one at a time within a key, keys beside each other."""

from collections import deque
from typing import Generic, TypeVar

M = TypeVar("M")


class Lane(Generic[M]):
    """The messages of one key, first come first served. Only one worker at a time has a lane."""

    __slots__ = ("key", "messages")

    def __init__(self, key: object) -> None:
        self.key = key
        self.messages: deque[M] = deque()


class Lanes(Generic[M]):
    """All lanes: ready → taken → (ready again | parked → ready | gone when empty).

    A message without a key has a lane of its own. Bounded by whoever adds: it asks for no more than its window.
    """

    def __init__(self) -> None:
        self._lanes: dict[object, Lane[M]] = {}
        self._ready: deque[Lane[M]] = deque()

    @property
    def ready(self) -> int:
        """How many lanes wait for a worker."""
        return len(self._ready)

    def add(self, key: str, message: M) -> None:
        """Behind the earlier messages of its key."""
        place: object = key or object()
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane(place)
            self._ready.append(lane)
        lane.messages.append(message)

    def take(self, most: int) -> list[tuple[Lane[M], list[M]]]:
        """The next lanes with up to `most` messages in all; each lane stays taken until it is released.

        most: 1 gives one message of one lane; more gives each lane's messages in a row, for a batch.
        """
        taken: list[tuple[Lane[M], list[M]]] = []
        while self._ready and most > 0:
            lane = self._ready.popleft()
            count = min(most, len(lane.messages))
            taken.append((lane, [lane.messages.popleft() for _ in range(count)]))
            most -= count
        return taken

    def put_back(self, lane: Lane[M], messages: list[M]) -> None:
        """In front again, in the same order; the lane stays taken (parked) until it is released."""
        lane.messages.extendleft(reversed(messages))

    def release(self, lane: Lane[M]) -> None:
        """The worker is done with the lane, or its wait is over."""
        if lane.messages:
            self._ready.append(lane)
        else:
            del self._lanes[lane.key]

    def drop(self) -> list[M]:
        """Forget every message that no worker has, and say which; lanes that are taken stay taken."""
        dropped = [message for lane in self._lanes.values() for message in lane.messages]
        for lane in self._lanes.values():
            lane.messages.clear()
        for lane in self._ready:
            del self._lanes[lane.key]
        self._ready.clear()
        return dropped
