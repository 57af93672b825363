"""Who may see the pages, and what may be asked of them: one gate before every page.

On loopback whoever sits at the machine may look, but no page of another site may have a browser look for it: only
requests to a loopback name are answered. Anywhere else a token is asked for. What changes something needs a word that
only our own pages know, and the browser's assurance that one of them sends it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    # With no-referrer a browser would send our own forms with the origin "null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer: a browser loads nothing from elsewhere, and runs nothing that stands in a page."""

LARGEST_FORM = 65_536
"""Bytes; a larger one is refused."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_TOKEN, _SESSION = "atoll-token", "atoll-session"


class Access:
    """Answers what may not be asked, and lets the rest through with a session for its forms.

    token: "" on loopback.
    """

    def __init__(self, application: ASGIApp, token: str = "") -> None:
        self._application, self._token = application, token
        self._key = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)
        cookies = _cookies(request)
        session = cookies.get(_SESSION, "")
        fresh = "" if _is_session(session) else secrets.token_urlsafe(24)
        scope["session_word"] = self.word(session or fresh)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if fresh:
                    headers.append("set-cookie", _cookie(_SESSION, fresh))
            await send(message)

        answer = self._refusal(request, cookies)
        await (answer or self._application)(scope, receive, guarded)

    def word(self, session: str) -> str:
        """What a form of this session carries."""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()

    def _refusal(self, request: Request, cookies: Mapping[str, str]) -> Response | None:
        """What is answered instead of the page; None if it may be seen."""
        if not self._token:
            host = request.headers.get("host", "").lower()
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            return None if name in _LOOPBACK else PlainTextResponse("Ask by a loopback name.\n", 403)
        given = request.query_params.get("token", "")
        if given and self._is_token(given) and request.method == "GET":
            # Out of the address line, so that nobody reads it there or is sent there with it.
            query = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != "token"])
            seen = RedirectResponse(request.url.path + (f"?{query}" if query else ""), 303)
            seen.headers.append("set-cookie", _cookie(_TOKEN, given))
            return seen
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(cookies.get(_TOKEN, "")) or self._is_token(bearer):
            return None
        return PlainTextResponse("A token is needed: the address that `atoll dashboard` prints has it.\n", 401)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that one of our pages sent. Raises HTTPException 403, 413."""
    origin = request.headers.get("origin", "")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "This was sent by a page of another site.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This was sent by a page of another site.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise HTTPException(413, f"A form has {LARGEST_FORM} bytes at most.")
    fields = dict(parse_qsl(body.decode("utf-8", "replace")))
    if not hmac.compare_digest(fields.get("word", "").encode(), str(request.scope["session_word"]).encode()):
        raise HTTPException(403, "This page is too old to be sent: load it again.")
    return fields


def _is_session(value: str) -> bool:
    return 16 <= len(value) <= 64 and value.isascii()


def _cookies(request: Request) -> dict[str, str]:
    try:
        return {name: each.value for name, each in SimpleCookie(request.headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _cookie(name: str, value: str) -> str:
    return f"{name}={value}; HttpOnly; SameSite=Strict; Path=/"
