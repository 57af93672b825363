"""The payment service: a ledger in which every order stands at most once."""

import logging

from msgspec import Struct

from atoll import Database, publishes

from ..money import Money
from .contract import (
    DECLINED_CARD,
    Card,
    Charge,
    ChargedAlready,
    Declined,
    NewCharge,
    Payment,
    PaymentSettled,
    payment_settled,
)

logger = logging.getLogger("shop.payment")

CHARGE = """
    SELECT order_id, jsonb_build_object('currency', currency, 'minor', minor) AS amount, card_ending, charged_at
    FROM ledger
"""


class PaymentSettings(Struct, frozen=True):
    """limit: the largest amount of one charge, in minor units."""

    limit: int = 1_000_000


@publishes(payment_settled)
class PaymentService(Payment):
    """Stands in for a payment provider. A real one would be called before the transaction, with the order's id as its
    idempotency key, for money moves there, not here; the ledger below would be the same."""

    def __init__(self, database: Database, settings: PaymentSettings) -> None:
        self._database = database
        self._settings = settings

    async def charge(self, charge: NewCharge) -> Charge:
        if reason := why_declined(charge.card, charge.amount, self._settings.limit):
            logger.info("declined: %s", reason, extra={"order": charge.order_id})
            raise Declined(reason=reason)
        async with self._database.transaction() as tx:
            is_new = await tx.execute(
                """INSERT INTO ledger (order_id, currency, minor, card_ending) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (order_id) DO NOTHING""",
                charge.order_id,
                charge.amount.currency,
                charge.amount.minor,
                charge.card.ending,
            )
            charged = await tx.one(Charge, f"{CHARGE} WHERE order_id = $1", charge.order_id)
            assert charged is not None  # lines of the ledger are never deleted
            if charged.amount != charge.amount:
                raise ChargedAlready(order_id=charged.order_id, amount=charged.amount)
            if is_new:
                await tx.publish(payment_settled, PaymentSettled(charged.order_id, charged.amount))
                logger.info("charging %s", charged.amount, extra={"order": charged.order_id})
            return tx.answer(charged)

    async def charges(self, order_ids: list[str]) -> list[Charge]:
        return await self._database.all(Charge, f"{CHARGE} WHERE order_id = ANY($1)", order_ids)


def why_declined(card: Card, amount: Money, limit: int) -> str:
    """What speaks against the charge; "" if nothing does."""
    number = card.number.replace(" ", "")
    if number == DECLINED_CARD.replace(" ", ""):
        return "the bank declines this card"
    if not passes_luhn(number):
        return "this is not the number of a card"
    if amount.minor > limit:
        return f"no more than {Money(amount.currency, limit)} can be charged at once"
    return ""


def passes_luhn(number: str) -> bool:
    """Whether the check digit is right: from the right, every second digit counts twice, its own digits added up."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
