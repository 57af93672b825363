"""The accounts, kept in PostgreSQL."""

import asyncio
from uuid import UUID

from msgspec import Struct

from atoll import Database

from . import passwords
from .contract import Credentials, EmailTaken, NewUser, UnknownUser, User, Users, WrongCredentials

USER = "SELECT id, name, email, joined_at FROM users"


class Known(Struct, frozen=True):
    """What is needed to let somebody in."""

    id: UUID
    password: str


class UserService(Users):
    """The article's user-service: three replicas, port 3000, and a database of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, user: NewUser) -> User:
        password = await asyncio.to_thread(passwords.hashed, user.password)
        async with self._database.transaction() as tx:
            joined = await tx.one(
                User,
                """INSERT INTO users (name, email, password) VALUES ($1, $2, $3)
                   ON CONFLICT (lower(email)) DO NOTHING RETURNING id, name, email, joined_at""",
                user.name,
                user.email,
                password,
            )
            if joined is None:
                raise EmailTaken(email=user.email)
            return tx.answer(joined)

    async def log_in(self, credentials: Credentials) -> User:
        known = await self._database.one(
            Known, "SELECT id, password FROM users WHERE lower(email) = lower($1)", credentials.email
        )
        stored = known.password if known else passwords.NOBODY
        matches = await asyncio.to_thread(passwords.matches, credentials.password, stored)
        if known is None or not matches:
            raise WrongCredentials
        return await self.user(known.id)

    async def user(self, user_id: UUID) -> User:
        user = await self._database.one(User, f"{USER} WHERE id = $1", user_id)
        if user is None:
            raise UnknownUser(user_id=user_id)
        return user

    async def users(self, *, limit: int = 50) -> list[User]:
        return await self._database.all(User, f"{USER} ORDER BY joined_at DESC LIMIT $1", limit)
