"""How many calls to one destination may be under way at once."""


class Bulkhead:
    """Counts calls; at the limit further ones are refused, so that one slow callee can't take all of a process.

    limit: calls at once. refused: how many found no room.
    """

    __slots__ = ("limit", "refused", "under_way")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.under_way = 0
        self.refused = 0

    def enter(self) -> bool:
        """Whether there was room; if so, `leave` must follow once."""
        if self.under_way >= self.limit:
            self.refused += 1
            return False
        self.under_way += 1
        return True

    def leave(self) -> None:
        self.under_way -= 1
