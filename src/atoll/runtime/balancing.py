"""Which replica gets the next call."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

E = TypeVar("E", bound=Hashable)
R = TypeVar("R")

_FAILURES = 5  # in a row, after which a replica that takes connections is set aside
_FIRST = 1.0  # seconds set aside the first time, doubled each time
_LONGEST = 30.0
_SLOW_START = 10.0  # seconds in which a new or returning replica gets a growing share


class Replica(Generic[E, R]):
    """One place that answers for a service.

    endpoint: where it is. resources: what the caller keeps for it, such as idle connections.
    failures: in a row, up to now. until: when it may be asked again. warm_at: when it takes its full share.
    """

    __slots__ = ("ejections", "endpoint", "failures", "gone", "in_flight", "resources", "until", "warm_at")

    def __init__(self, endpoint: E, resources: R, warm_at: float) -> None:
        self.endpoint = endpoint
        self.resources = resources
        self.in_flight = 0
        self.failures = 0
        self.ejections = 0
        self.until = 0.0
        self.warm_at = warm_at
        self.gone = False


class Balancer(Generic[E, R]):
    """The power of two choices over calls in flight, without the replicas that failed just now.

    Two replicas are drawn and the one with fewer calls in flight is taken: nearly as even as asking all, and callers
    that don't know of each other don't all run to the same one. If every replica failed, all of them are asked.
    Pure: `now` is in seconds of any one monotonic clock, `chance` gives random numbers from 0 to 1.
    """

    def __init__(self, chance: Callable[[], float], resources: Callable[[], R]) -> None:
        self._chance = chance
        self._resources = resources
        self.replicas: list[Replica[E, R]] = []
        self._usable: list[Replica[E, R]] = []
        self._review_at = float("inf")

    def replace(self, endpoints: Iterable[E], now: float) -> list[Replica[E, R]]:
        """These are the replicas from now on; returns those that are no more."""
        known = {replica.endpoint: replica for replica in self.replicas}
        # All are new at the beginning: then none has to be spared.
        warm_at = now + _SLOW_START if known else 0.0
        wanted = dict.fromkeys(endpoints)
        self.replicas = [known.get(endpoint) or Replica(endpoint, self._resources(), warm_at) for endpoint in wanted]
        gone = [replica for endpoint, replica in known.items() if endpoint not in wanted]
        for replica in gone:
            replica.gone = True
        self._review(now)
        return gone

    def pick(self, now: float, avoid: Replica[E, R] | None = None) -> Replica[E, R] | None:
        """The replica for the next call; None where there is none. avoid: one that just failed the same call."""
        if now >= self._review_at:
            self._review(now)
        usable = self._usable
        if avoid is not None and len(usable) > 1:
            usable = [replica for replica in usable if replica is not avoid]
        count = len(usable)
        if count < 2:
            return usable[0] if usable else None
        first = int(self._chance() * count)
        second = int(self._chance() * (count - 1))
        one, other = usable[first], usable[second + 1 if second >= first else second]
        if one.warm_at > now and self._chance() > 1.0 - (one.warm_at - now) / _SLOW_START:
            return other
        return other if other.in_flight < one.in_flight else one

    def succeeded(self, replica: Replica[E, R], now: float) -> None:
        """The replica answered. Need only be called where `failures` is not 0."""
        replica.failures = 0
        if now >= replica.until:
            replica.ejections = 0
        elif self._usable is self.replicas:
            # All were set aside and this one is back. Otherwise the answer may belong to a call from before.
            # What they failed of was common to them: the others are looked at soon, lest this one serves for all.
            for each in self.replicas:
                each.ejections = 0
                each.until = min(each.until, now + _FIRST)
                each.warm_at = min(each.warm_at, each.until + _SLOW_START)
            replica.until = 0.0
            self._review(now)

    def failed(self, replica: Replica[E, R], now: float, *, reached: bool) -> None:
        """The replica did not answer, or with an error of its own; reached: it took the connection."""
        replica.failures += 1
        if replica.until > now or (reached and replica.failures < _FAILURES):
            return
        replica.until = now + min(_FIRST * 2.0**replica.ejections, _LONGEST)
        replica.ejections = min(replica.ejections + 1, 16)
        replica.warm_at = replica.until + _SLOW_START
        self._review(now)

    def elsewhere(self, replica: Replica[E, R]) -> bool:
        """Whether another replica is left that did not fail just now."""
        return self._usable is not self.replicas and any(other is not replica for other in self._usable)

    def _review(self, now: float) -> None:
        waiting = [replica.until for replica in self.replicas if replica.until > now]
        if len(waiting) == len(self.replicas):
            # Nobody is left: then asking those that failed is better than asking nobody.
            self._usable = self.replicas
        else:
            self._usable = [replica for replica in self.replicas if replica.until <= now]
        self._review_at = min(waiting, default=float("inf"))
