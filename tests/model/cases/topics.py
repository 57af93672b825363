import msgspec

from atoll import Event, Publisher, Service, System, Topic, Transaction, consumes, get, publishes


class Placed(msgspec.Struct):
    order_id: str


class Paid(msgspec.Struct):
    order_id: str


placed = Topic("order-placed", Placed, key="order")
again = Topic("order-placed", Paid)
paid = Topic("order-paid", Paid, key="order_id", kept_seconds=60)
refunded = Topic("order-refunded", Paid, kept_bytes=1_000_000)
lost = Topic("order-plced", Placed)


@publishes(placed, paid, refunded)
class Checkout:
    @get("/checkout")
    async def checkout(self) -> str:
        return ""


@publishes(paid)
class Payment:
    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    @get("/payment")
    async def payment(self) -> str:
        return str(self._publisher)


class Email:
    @consumes(lost)
    async def misspelt(self, event: Placed, tx: Transaction) -> None:
        await tx.execute(str(event))

    @consumes(again, idempotent=True)
    async def other_type(self, event: Paid) -> None:
        str(event)

    @consumes(paid, idempotent=True)
    async def wrong_event(self, event: Placed) -> None:  # type: ignore[arg-type]
        str(event)

    @consumes(paid)  # type: ignore[arg-type]
    async def no_transaction(self, event: Paid) -> None:
        str(event)

    @consumes(paid, idempotent=True)
    async def wants_more(self, event: Paid, about: Event, other: int) -> None:
        str((event, about, other))

    @consumes(paid, idempotent=True)
    async def wants_text(self, event: Paid, about: str) -> None:
        str((event, about))

    @consumes(paid, idempotent=True)
    async def knows(self, event: Paid, about: Event) -> None:
        str((event, about))


shop = System(
    "shop",
    services=[Service("checkout", Checkout), Service("payment", Payment), Service("email", Email)],
)
