"""The pages of an account."""

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..users.contract import Credentials, EmailTaken, NewUser, User, Users, WrongCredentials
from .sessions import Customer
from .view import View


class Accounts:
    """Registering, logging in and out. Who is logged in is kept in a signed cookie, not here."""

    def __init__(self, view: View, users: Users) -> None:
        self._view = view
        self._users = users
        self.routes = [
            Route("/account", self.account),
            Route("/account/register", self.register, methods=["POST"]),
            Route("/account/log-in", self.log_in, methods=["POST"]),
            Route("/account/leave", self.leave, methods=["POST"]),
        ]

    async def account(self, request: Request) -> Response:
        return await self._page(request)

    async def register(self, request: Request) -> Response:
        async with request.form() as form:
            filled = {name: str(value).strip() for name, value in form.items()}
        try:
            user = await self._users.register(msgspec.convert(filled, NewUser))
        except msgspec.ValidationError:
            return await self._page(request, "A name, an e-mail address, and at least eight characters.", filled, 422)
        except EmailTaken:
            return await self._page(request, "There is an account with this address already.", filled, 409)
        return self._welcome(user)

    async def log_in(self, request: Request) -> Response:
        async with request.form() as form:
            filled = {name: str(value).strip() for name, value in form.items()}
        try:
            user = await self._users.log_in(msgspec.convert(filled, Credentials))
        except (msgspec.ValidationError, WrongCredentials):
            trouble = "No account has this address and this password."
            return await self._page(request, trouble, {"email": filled.get("email", "")}, 401)
        return self._welcome(user)

    async def leave(self, _: Request) -> Response:
        response = RedirectResponse("/", 303)
        self._view.sessions.see_off(response)
        return response

    def _welcome(self, user: User) -> Response:
        response = RedirectResponse("/account", 303)
        self._view.sessions.welcome(response, Customer(user.id, user.name, user.email))
        return response

    async def _page(
        self, request: Request, trouble: str = "", filled: dict[str, str] | None = None, status: int = 200
    ) -> Response:
        return await self._view.page(request, "account.html", status=status, trouble=trouble, filled=filled or {})
