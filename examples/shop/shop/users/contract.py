"""What other services may ask about users."""

from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta, Struct

from atoll import Fault, get, post

Email = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
PageSize = Annotated[int, Meta(ge=1, le=100)]


class NewUser(Struct, frozen=True):
    """Somebody who wants an account."""

    name: Name
    email: Email
    password: Annotated[str, Meta(min_length=8, max_length=200)]

    def __repr__(self) -> str:
        return f"NewUser(name={self.name!r}, email={self.email!r}, password=…)"  # logs must not know it


class Credentials(Struct, frozen=True):
    """What somebody says to prove who they are."""

    email: Email
    password: Annotated[str, Meta(max_length=200)]

    def __repr__(self) -> str:
        return f"Credentials(email={self.email!r}, password=…)"


class User(Struct, frozen=True):
    """Somebody who has an account."""

    id: UUID
    name: str
    email: str
    joined_at: datetime


class EmailTaken(Fault, status=409):
    """Somebody has an account with this address already."""

    email: str


class UnknownUser(Fault, status=404):
    """No user has this id."""

    user_id: UUID


class WrongCredentials(Fault, status=401):
    """No account has this address and this password; which of the two is wrong is nobody's business."""


class Users(Protocol):
    """The accounts of the boutique."""

    @post("/users", status=201, idempotency_key=True, raises=[EmailTaken])
    async def register(self, user: NewUser) -> User:
        """Open an account."""
        ...

    @post("/users/log-in", raises=[WrongCredentials])
    async def log_in(self, credentials: Credentials) -> User:
        """The user whose password this is. The session that follows is the caller's business."""
        ...

    @get("/users/{user_id}", raises=[UnknownUser])
    async def user(self, user_id: UUID) -> User:
        """One user."""
        ...

    @get("/users")
    async def users(self, *, limit: PageSize = 50) -> list[User]:
        """The users who joined last, the newest first."""
        ...
