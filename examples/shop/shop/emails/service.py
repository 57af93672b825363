"""Writes a confirmation for every order, into a folder instead of the world."""

import asyncio
from email.message import EmailMessage
from pathlib import Path

from msgspec import Struct

from atoll import Database, Transaction, consumes

from ..checkout.contract import OrderPlaced, order_placed
from .contract import Mail, Mailbox

SENDER = "Sandpiper <hello@sandpiper.example>"


class EmailSettings(Struct, frozen=True):
    """folder: where the mails are written; made if it is not there."""

    folder: str


class EmailService(Mailbox):
    """Sends mails exactly once, though a folder knows no transactions.

    The row and the inbox's note of the event are stored together, so an event that was handled is not handled again.
    The file is written before they are. If the process dies in between, the event comes again and the file, whose name
    follows from the order, is written over by the same words: nobody gets two mails. A mail server would be asked to
    do the same by its Message-ID.
    """

    def __init__(self, database: Database, settings: EmailSettings) -> None:
        self._database = database
        self._folder = Path(settings.folder)

    @consumes(order_placed)
    async def confirm(self, event: OrderPlaced, tx: Transaction) -> None:
        """Write to the customer that the order is on its way."""
        mail = confirmation(event)
        file = await asyncio.to_thread(self._write, f"{event.order_id}.eml", bytes(mail))
        await tx.execute(
            "INSERT INTO mails (order_id, recipient, subject, file) VALUES ($1, $2, $3, $4)",
            event.order_id,
            event.email,
            mail["Subject"],
            file,
        )

    async def mails(self, order_ids: list[str]) -> list[Mail]:
        return await self._database.all(
            Mail,
            "SELECT order_id, recipient, subject, file, written_at FROM mails WHERE order_id = ANY($1) ORDER BY id",
            order_ids,
        )

    def _write(self, name: str, content: bytes) -> str:
        """Write the whole file or nothing: readers never see half a mail."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}"
        unfinished.write_bytes(content)
        unfinished.replace(self._folder / name)
        return name


def confirmation(event: OrderPlaced) -> EmailMessage:
    """The mail for this order: always the same words for the same order."""
    mail = EmailMessage()
    mail["From"] = SENDER
    mail["To"] = event.email
    mail["Subject"] = f"Your order {event.order_id[:8]} at Sandpiper"
    mail["Message-ID"] = f"<{event.order_id}@sandpiper.example>"
    lines = "\n".join(f"  {line.quantity} x {line.name}, {line.price * line.quantity}" for line in event.lines)
    mail.set_content(
        f"Dear {event.name},\n\nthank you for your order {event.order_id}:\n\n{lines}\n\n"
        f"Paid: {event.total}\n\nThe parcel leaves with the next tide.\n\nSandpiper\n"
    )
    return mail
