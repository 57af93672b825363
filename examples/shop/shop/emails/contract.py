"""What other services may ask about mails."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from atoll import get


class Kind(StrEnum):
    """What a mail says: that the order is confirmed, or that its parcel has left."""

    CONFIRMED = "confirmed"
    SHIPPED = "shipped"


class Mail(Struct, frozen=True):
    """A mail that was written."""

    order_id: str
    kind: Kind
    recipient: str
    subject: str
    file: str
    written_at: datetime


class Mailbox(Protocol):
    """The mails that have left the boutique."""

    @get("/mails")
    async def mails(self, order_ids: Annotated[list[str], Meta(max_length=100)]) -> list[Mail]:
        """The mails about these orders; each is listed as often as it was written."""
        ...
