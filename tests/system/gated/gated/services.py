"""Two services that say who calls them."""

from atoll import Caller
from gated.contract import Desk, Ledger, Order, Who


def who(caller: Caller) -> Who:
    return Who(caller.subject, sorted(caller.scopes))


class DeskService(Desk):
    def __init__(self, caller: Caller, ledger: Ledger) -> None:
        self._caller, self._ledger = caller, ledger

    async def hours(self) -> Who:
        return who(self._caller)

    async def me(self) -> Who:
        return who(self._caller)

    async def place(self, order: Order) -> Who:
        return who(self._caller)

    async def refund(self, order: Order) -> Who:
        return who(self._caller)

    async def booked(self) -> Who:
        return await self._ledger.book()


class LedgerService(Ledger):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def book(self) -> Who:
        return who(self._caller)
