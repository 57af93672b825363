"""How many requests a process takes at once, by how late its event loop is."""

from statistics import median_low

WINDOW = 0.1
"""Seconds that are judged together."""

LATE = 0.03
"""Seconds that the loop may be late: every step of every request waits for as long."""

FEWEST = 16
"""Requests that are always let in: below this a loop is late for another reason than their number."""

_LOOKS = 3
"""Looks in a window, at least: one handler that blocks makes a single look late."""


class Shedder:
    """A limit of requests at work that follows what the process can do. Pure: times are of any one monotonic clock.

    What counts is the median lateness of a window: one handler that blocks leaves most looks in time, a queue that
    stands does not. Then the limit goes down to a share of what was at work; else its root grows by a half a window,
    in a few seconds from the fewest to `bound`. Whoever waits for others (a slow callee, a database) does not make
    the loop late, and is left to deadlines, breakers and bulkheads.

    limit: requests at once; more are to be refused. busiest: set by whoever admits, the most at work since the last
    judgement.
    """

    __slots__ = ("_began", "_bound", "_lateness", "busiest", "limit")

    def __init__(self, bound: int, now: float) -> None:
        """bound: what the limit never exceeds."""
        self._bound = self.limit = bound
        self._began = now
        self._lateness: list[float] = []  # at most as many as there are looks in a window
        self.busiest = 0

    def look(self, now: float, due: float) -> None:
        """Told every few milliseconds while something is at work. due: when this look was meant to be."""
        self._lateness.append(now - due)
        if len(self._lateness) >= _LOOKS and now - self._began >= WINDOW:
            self._judge(now)

    def _judge(self, now: float) -> None:
        late = median_low(self._lateness)
        if late > LATE:
            fitting = min(self.limit, self.busiest) * max(0.5, LATE / late)
            self.limit = min(max(int(fitting), FEWEST), self._bound)
        elif self.limit < self._bound:
            windows = (now - self._began) / WINDOW
            self.limit = min(int((self.limit**0.5 + windows / 2) ** 2), self._bound)
        self._began, self.busiest = now, 0
        self._lateness.clear()
