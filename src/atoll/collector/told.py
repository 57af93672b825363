"""What figures are counted of: so many edges and operations are told apart in three minutes, of each sender fewer."""

from collections import Counter
from collections.abc import Callable, Hashable

from atoll.collector.callers import Asked
from atoll.collector.figures import STEPS
from atoll.collector.limits import OTHERS, Limits

Operation = tuple[str, str]
"""A service, and the name of what it served."""


class Told:
    """Any further one is "(others)", for as long as the three minutes last: then everybody begins anew.

    hit: told the limit that was reached.
    """

    def __init__(self, limits: Limits, hit: Callable[[str], None]) -> None:
        self._hit = hit
        self._moment = 0
        self._edges = _Distinct(limits.edges, limits.edges_each)
        self._operations = _Distinct(limits.operations, limits.operations_each)

    def begin(self, now: int) -> None:
        """now: seconds since the epoch."""
        if now // STEPS[0] != self._moment:
            self._moment = now // STEPS[0]
            self._edges.clear()
            self._operations.clear()

    def edge(self, asked: Asked) -> Asked:
        """As it is counted. Who sent the span is known; what it says it asked is the other end."""
        is_consumer = asked.kind == "consume"
        sender = asked.callee if is_consumer else asked.caller
        if self._edges.take(sender, asked):
            return asked
        self._hit("edges")
        few = Asked(OTHERS, sender, asked.kind) if is_consumer else Asked(sender, OTHERS, asked.kind)
        return few if self._edges.take("", few) else Asked(OTHERS, OTHERS, asked.kind)

    def operation(self, asked: Operation) -> Operation:
        """As it is counted."""
        if self._operations.take(asked[0], asked):
            return asked
        self._hit("operations")
        few = asked[0], OTHERS
        return few if self._operations.take("", few) else (OTHERS, OTHERS)


class _Distinct:
    """At most so many things, of each sender so many."""

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self.clear()

    def clear(self) -> None:
        self._known: set[Hashable] = set()
        self._of: Counter[str] = Counter()

    def take(self, sender: str, thing: Hashable) -> bool:
        """Whether it is one of them. sender: "" for one that is on nobody's account."""
        if thing in self._known:
            return True
        if len(self._known) >= self._most or (sender and self._of[sender] >= self._each):
            return False
        self._known.add(thing)
        self._of[sender] += 1
        return True
