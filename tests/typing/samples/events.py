"""A topic carries one type: publishing or handling another one is an error at the line that does it."""

from dataclasses import dataclass

from atoll import Database, Event, Publisher, Topic, Transaction, consumes, every, publishes


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str


@dataclass(frozen=True)
class MailSent:
    mail_id: str


order_placed = Topic("order-placed", OrderPlaced, key="order_id")
mail_sent = Topic("mail-sent", MailSent)


@publishes(order_placed, mail_sent)
class Orders:
    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    async def place(self) -> str:
        async with self._database.transaction() as tx:
            await tx.execute("INSERT INTO orders VALUES ($1)", "1")
            await tx.publish(order_placed, OrderPlaced("1"))
            await tx.publish(order_placed, MailSent("1"))  # expect: misc | reportArgumentType
            await tx.publish(order_placed, "1")  # expect: misc | reportArgumentType
            return tx.answer("1")

    async def tell(self) -> None:
        sequence: int = await self._publisher.publish(mail_sent, MailSent("1"), event_id="1")
        await self._publisher.publish(mail_sent, OrderPlaced(str(sequence)))  # expect: misc | reportArgumentType

    @consumes(order_placed)
    async def one(self, event: OrderPlaced, tx: Transaction) -> None: ...

    @consumes(order_placed, batch=True)
    async def many(self, events: list[OrderPlaced], tx: Transaction) -> None: ...

    @consumes(order_placed, idempotent=True)
    async def bare(self, event: OrderPlaced) -> None: ...

    @consumes(order_placed)
    async def knowing(self, event: OrderPlaced, tx: Transaction, about: Event) -> None: ...

    @consumes(order_placed, batch=True)
    async def knowing_many(self, events: list[OrderPlaced], tx: Transaction, about: list[Event]) -> None: ...

    @consumes(order_placed, idempotent=True)
    async def knowing_bare(self, event: OrderPlaced, about: Event) -> None: ...

    @consumes(order_placed)  # expect: arg-type | reportArgumentType
    async def another_type(self, event: MailSent, tx: Transaction) -> None: ...

    @consumes(order_placed)  # expect: arg-type | reportArgumentType
    async def no_transaction(self, event: OrderPlaced) -> None: ...

    @consumes(order_placed, batch=True)  # expect: arg-type | reportArgumentType
    async def one_of_many(self, event: OrderPlaced, tx: Transaction) -> None: ...

    @consumes(order_placed, idempotent=True)  # expect: arg-type | reportArgumentType
    async def idempotent_of_another_type(self, event: str) -> None: ...

    @consumes(order_placed)  # expect: arg-type | reportArgumentType
    def not_async(self, event: OrderPlaced, tx: Transaction) -> None: ...

    @every(minutes=5)
    async def expire(self) -> None: ...


publishes("order-placed")  # expect: arg-type | reportArgumentType
every(5)  # expect: misc call-arg | reportCallIssue
