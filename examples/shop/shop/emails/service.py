"""Writes to customers when their order is confirmed and when it has left, into a folder instead of the world."""

import asyncio
from email.message import EmailMessage
from pathlib import Path

from msgspec import Struct

from atoll import Database, Transaction, consumes

from ..checkout.contract import OrderPlaced, order_placed
from ..shipping.contract import OrderShipped, order_shipped
from .contract import Kind, Mail, Mailbox

SENDER = "Sandpiper <hello@sandpiper.example>"


class EmailSettings(Struct, frozen=True):
    """folder: where the mails are written; made if it is not there."""

    folder: str


class EmailService(Mailbox):
    """Sends mails exactly once, though a folder knows no transactions.

    The row and the inbox's note of the event are stored together, so an event that was handled is not handled again.
    The file is written before they are. If the process dies in between, the event comes again and the file, whose name
    follows from the order and the kind, is written over by the same words: nobody gets two mails. A mail server would
    be asked to do the same by its Message-ID.
    """

    def __init__(self, database: Database, settings: EmailSettings) -> None:
        self._database = database
        self._folder = Path(settings.folder)

    @consumes(order_placed)
    async def confirm(self, event: OrderPlaced, tx: Transaction) -> None:
        """Write to the customer what was ordered and paid."""
        await self._send(tx, event.order_id, Kind.CONFIRMED, confirmation(event))

    @consumes(order_shipped)
    async def follow(self, event: OrderShipped, tx: Transaction) -> None:
        """Write to the customer that the parcel is on its way."""
        await self._send(tx, event.order_id, Kind.SHIPPED, departure(event))

    async def mails(self, order_ids: list[str]) -> list[Mail]:
        return await self._database.all(
            Mail,
            """SELECT order_id, kind, recipient, subject, file, written_at FROM mails
               WHERE order_id = ANY($1) ORDER BY id""",
            order_ids,
        )

    async def _send(self, tx: Transaction, order_id: str, kind: Kind, mail: EmailMessage) -> None:
        file = await asyncio.to_thread(self._write, f"{order_id}-{kind}.eml", bytes(mail))
        await tx.execute(
            "INSERT INTO mails (order_id, kind, recipient, subject, file) VALUES ($1, $2, $3, $4, $5)",
            order_id,
            kind,
            mail["To"],
            mail["Subject"],
            file,
        )

    def _write(self, name: str, content: bytes) -> str:
        """Write the whole file or nothing: readers never see half a mail."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}"
        unfinished.write_bytes(content)
        unfinished.replace(self._folder / name)
        return name


def confirmation(event: OrderPlaced) -> EmailMessage:
    """The mail for a confirmed order: always the same words for the same order."""
    lines = "\n".join(f"  {line.quantity} x {line.name}, {line.price * line.quantity}" for line in event.lines)
    return written(
        f"<{event.order_id}@sandpiper.example>",
        event.email,
        f"Your order {event.order_id[:8]} at Sandpiper",
        f"Dear {event.name},\n\nthank you for your order {event.order_id}:\n\n{lines}\n"
        f"  The parcel, {event.shipping}\n\nPaid: {event.total}\n\nWe write again when it leaves.\n\nSandpiper\n",
    )


def departure(event: OrderShipped) -> EmailMessage:
    """The mail for an order that has left: always the same words for the same order."""
    return written(
        f"<{event.order_id}.shipped@sandpiper.example>",
        event.email,
        f"Your order {event.order_id[:8]} has left",
        f"Dear {event.address.name},\n\nyour parcel has left with the tide, for {event.address.city} in "
        f"{event.address.country}.\n\nIt is number {event.tracking}.\n\nSandpiper\n",
    )


def written(message_id: str, recipient: str, subject: str, text: str) -> EmailMessage:
    """A mail of the boutique. message_id: by which a mail server knows one that it was given twice."""
    mail = EmailMessage()
    mail["From"] = SENDER
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["Message-ID"] = message_id
    mail.set_content(text)
    return mail
