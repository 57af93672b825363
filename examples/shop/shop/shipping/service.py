"""The shipping service: parcels wait for their payment, and leave once."""

from atoll import Database, Transaction, consumes, publishes

from ..money import Money
from ..payment.contract import PaymentSettled, payment_settled
from .contract import OrderShipped, Parcel, Quote, Shipment, Shipping, order_shipped

SHIPMENT = "SELECT order_id, tracking, shipped_at FROM parcels WHERE shipped_at IS NOT NULL"


@publishes(order_shipped)
class ShippingService(Shipping):
    """Nobody asks it to send anything: it hears that an order was paid.

    The parcel is packed before the card is charged, so whoever has paid has one, even if everybody but the ledger
    forgets about the order a moment later.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def quote(self, things: int) -> Quote:
        return quoted(things)

    async def pack(self, order_id: str, parcel: Parcel) -> None:
        await self._database.execute(
            """INSERT INTO parcels (order_id, tracking, things, address, email) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (order_id) DO UPDATE SET things = $3, address = $4, email = $5
               WHERE parcels.shipped_at IS NULL""",
            order_id,
            tracking(order_id),
            parcel.things,
            parcel.address,
            parcel.email,
        )

    @consumes(payment_settled)
    async def ship(self, event: PaymentSettled, tx: Transaction) -> None:
        """Send the parcel and tell of it, unless it has left already."""
        shipped = await tx.one(
            OrderShipped,
            """UPDATE parcels SET shipped_at = now() WHERE order_id = $1 AND shipped_at IS NULL
               RETURNING order_id, tracking, email, address""",
            event.order_id,
        )
        if shipped:
            await tx.publish(order_shipped, shipped)
        elif not await tx.one(Shipment, f"{SHIPMENT} AND order_id = $1", event.order_id):
            # Not swallowed: it comes again, and in the end lies with the dead letters, where somebody looks.
            raise LookupError(f"the order {event.order_id} is paid, and nobody had its parcel packed")

    async def shipments(self, order_ids: list[str]) -> list[Shipment]:
        return await self._database.all(Shipment, f"{SHIPMENT} AND order_id = ANY($1)", order_ids)


FIRST, MORE, MOST = 390, 40, 1290  # cents: for one thing, for each further one, for any parcel


def quoted(things: int) -> Quote:
    """What a parcel of so many things costs, and how long it takes: large ones wait for the larger boat."""
    return Quote(Money("EUR", min(FIRST + MORE * (things - 1), MOST)), 3 if things <= 10 else 5)


def tracking(order_id: str) -> str:
    """The number that is written on the parcel: it follows from the order, so packing again does not change it."""
    return f"SP-{order_id[:4]}-{order_id[4:8]}-{order_id[8:12]}".upper()
