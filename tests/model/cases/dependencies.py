from typing import Annotated, Protocol

import msgspec

from atoll import Database, Process, Service, System, get, post


class Payment(Protocol):
    @post("/charges")
    async def charge(self) -> str: ...


class Catalog(Protocol):
    @get("/products")
    async def products(self) -> list[str]: ...


class Invoices(Protocol):
    @get("/invoices")
    async def invoices(self) -> list[str]: ...


class PaymentService(Payment):
    async def charge(self) -> str:
        return "paid"


class Settings(msgspec.Struct):
    tax: int


class Mailer:
    pass


class Checkout:
    def __init__(
        self, payment: Payment, invoices: Invoices, mailer: Mailer, database: Database, settings: Settings
    ) -> None:
        self._given = (payment, invoices, mailer, database, settings)

    @post("/orders")
    async def place(self) -> str:
        return str(self._given)


class Returns:
    def __init__(self, payment: Annotated[Payment, "payment-us"]) -> None:
        self._payment = payment

    @post("/returns")
    async def send_back(self) -> str:
        return await self._payment.charge()


shop = System(
    "shop",
    services=[
        Service("payment-eu", PaymentService),
        Service("payment-us", PaymentService),
        Service("checkout", Checkout),
        Service("returns", Returns),
        Process("report", ["report"], calls=[Invoices, Mailer]),
    ],
)
