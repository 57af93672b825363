"""The tiers."""

from storm.contracts import Bank, Catalog, Checkout, Front, Payment


class PaymentService(Payment):
    def __init__(self, bank: Bank) -> None:
        self._bank = bank

    async def pay(self) -> str:
        return await self._bank.charge()


class CheckoutService(Checkout):
    def __init__(self, payment: Payment) -> None:
        self._payment = payment

    async def order(self) -> str:
        return await self._payment.pay()


class CatalogService(Catalog):
    async def products(self) -> str:
        return "hats"


class FrontService(Front):
    def __init__(self, checkout: Checkout) -> None:
        self._checkout = checkout

    async def buy(self) -> str:
        return await self._checkout.order()

    async def home(self) -> str:
        return "welcome"
