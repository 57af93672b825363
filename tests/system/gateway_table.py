"""Requests to the gateway of the gated system, and the answers to expect, wherever it runs; its `shut` is down there.

The callers are an issuer of this module's own, whose public keys the system is given, and a client with an API key.
"""

import base64
import hashlib
import hmac
import http.client
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from atoll.provision.client_keys import known_as, new_client_key

ISSUER, AUDIENCE = "https://login.gated.example", "desk"
BOTH = "orders:write refunds:write"
PATIENCE = 10.0
TRACE = re.compile(r"[0-9a-f]{32}")


class Callers:
    """Everybody who comes to the gateway, the honest and the others."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self._other = rsa.generate_private_key(65537, 2048)
        self.partner = new_client_key("partner")
        self.stranger = new_client_key("partner")
        self.guest = new_client_key("guest")

    @cached_property
    def jwks(self) -> str:
        """The issuer's public keys."""
        public = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]})

    @property
    def api_keys(self) -> str:
        """The secret that the gateway is given."""
        return f"{known_as(self.partner)}\n{known_as(self.guest)}\n"

    def token(self, subject: str, scopes: str = "", key: rsa.RSAPrivateKey | None = None, **changed: object) -> str:
        """A token; what is `changed` to None is left out."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "scope": scopes, "iat": now, "exp": now + 3600}
        told = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return jwt.encode(told, key or self._key, "RS256", headers={"kid": "one"})

    def headers(self, who: str) -> dict[str, str]:
        """What somebody sends to be known."""
        keys = {"partner": self.partner, "guest": self.guest, "stranger": self.stranger, "no key": "partner"}
        if who in keys:
            return {"x-api-key": keys[who]}
        return {"authorization": f"Bearer {self._tokens(who)}"} if who else {}

    def _tokens(self, who: str) -> str:
        now = int(time.time())
        good = self.token("mallory", BOTH)
        head, payload, signature = good.split(".")
        match who:
            case "nobody's":
                return "garbage"
            case "unsigned":
                return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{payload}."
            case "another key's":
                return self.token("mallory", BOTH, key=self._other)
            case "public key's":
                return self._signed_with_public_key(payload)
            case "cut":
                return f"{head}.{payload}.{signature[:-8]}"
            case "changed":
                return f"{head}.{self.token('admin', BOTH).split('.')[1]}.{signature}"
            case "expired":
                return self.token("mallory", BOTH, exp=now - 3600)
            case "early":
                return self.token("mallory", BOTH, nbf=now + 3600)
            case "endless":
                return self.token("mallory", BOTH, exp=None)
            case "another audience's":
                return self.token("mallory", BOTH, aud="elsewhere")
            case "another issuer's":
                return self.token("mallory", BOTH, iss="https://login.evil.example")
            case _:
                name, _, scopes = who.partition(": ")
                return self.token(name, scopes)

    def _signed_with_public_key(self, payload: str) -> str:
        """HS256, with what everybody can read as the secret."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public = self._key.public_key().public_bytes(serialization.Encoding.PEM, form)
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{payload}"
        return f"{signed}.{_base64(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def _part(value: Mapping[str, object]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass(frozen=True)
class Case:
    """A request and its answer.

    who: "" for nobody, "ada: orders:write" for a token, or one of Callers' others.
    answer: the JSON of a success. shown: headers of the answer; None for one that may not be there.
    """

    name: str
    status: int
    method: str = "GET"
    path: str = "/me"
    who: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    answer: object = None
    shown: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


ORDER = b'{"thing": "lamp"}'
FORGED = {"x-atoll-subject": "root", "x-atoll-scopes": BOTH, "x-atoll-key": "Basic cm9vdDpyb290"}
ORIGIN = {"origin": "https://shop.example"}
ASKING = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}


def _who(subject: str, *scopes: str) -> dict[str, object]:
    return {"subject": subject, "scopes": list(scopes)}


CASES: Sequence[Case] = (
    Case("a token's holder is known to the handler", 200, who="ada: orders:read", answer=_who("ada", "orders:read")),
    Case("names of any language arrive", 200, who="Jürgen Ødegård 李: a", answer=_who("Jürgen Ødegård 李", "a")),
    Case("a scope opens its route", 200, "POST", "/orders", "bob: x orders:write", body=ORDER,
         answer=_who("bob", "orders:write", "x")),
    Case("all scopes open theirs", 200, "POST", "/refunds", f"cyd: {BOTH}", body=ORDER,
         answer=_who("cyd", "orders:write", "refunds:write")),
    Case("who calls is known behind the next service too", 200, path="/booked", who="dan: orders:write",
         answer=_who("dan", "orders:write")),
    Case("the next service looks at scopes itself", 502, path="/booked", who="eve: orders:read"),
    Case("a key's client is known to the handler", 200, who="partner", answer=_who("partner", "orders:write")),
    Case("a key's client may do what is declared", 200, "POST", "/orders", "partner", body=ORDER,
         answer=_who("partner", "orders:write")),
    Case("and no more", 403, "POST", "/refunds", "partner", body=ORDER),
    Case("a client without scopes may do what needs none", 200, who="guest", answer=_who("guest")),
    Case("and nothing else", 403, "POST", "/orders", "guest", body=ORDER),
    Case("a public operation needs no token", 200, path="/hours", answer=_who("")),
    Case("a token is looked at where none is needed", 200, path="/hours", who="fay: a", answer=_who("fay", "a")),
    Case("a wrong one is refused there too", 401, path="/hours", who="expired"),
    Case("a wrong key as well", 401, path="/hours", who="stranger"),
    Case("a public application needs no token", 200, path="/echo/x"),
    Case("one that is not public does", 401, path="/office/x"),
    Case("and gets it", 200, path="/office/x", who="gus: a"),
    Case("nobody outside says who calls", 200, path="/hours", headers=FORGED, answer=_who("")),
    Case("not beside a token either", 200, who="hal: a", headers=FORGED, answer=_who("hal", "a")),
    Case("nor beside a key", 200, who="guest", headers=FORGED, answer=_who("guest")),
    Case("no more scopes than the token's", 403, "POST", "/orders", "ian: a", FORGED, ORDER),
    Case("a scope is no part of another", 403, "POST", "/orders", "jay: orders:writer my-orders:write", body=ORDER),
    Case("one of two scopes is not enough", 403, "POST", "/refunds", "kim: orders:write", body=ORDER),
    *(Case(f"{who or 'no'} token is refused", 401, who=who) for who in (
        "", "nobody's", "unsigned", "another key's", "public key's", "cut", "changed", "expired", "early", "endless",
        "another audience's", "another issuer's")),
    Case("a client's name alone is no key", 401, who="no key"),
    Case("another's key is refused", 401, who="stranger"),
    Case("a token in the address is none", 401, path="/me?access_token=garbage"),
    Case("what nobody serves is not found", 404, path="/nothing"),
    Case("what is not exposed is not found", 404, path="/book", who="lee: orders:write"),
    Case("a method that is not there is refused", 405, "DELETE", "/hours", shown={"allow": "GET, HEAD"}),
    Case("a path's dots do not lead around", 401, path="/hours/../me"),
    Case("nor do its escapes", 400, path="/hours%2f..%2fme"),
    Case("a body above the limit is refused", 413, "POST", "/orders", "mia: orders:write", body=b"x" * 10_001),
    Case("headers above the limit are refused", 431, path="/hours", headers={"x": "y" * 9_000}),
    Case("who takes too long is not waited for", 504, path="/echo/slow"),
    Case("who is down is told of, and when to come back", 503, path="/shut/x", shown={"retry-after": "1"}),
    Case("what is down is told to scripts as well", 503, path="/shut/x", headers=ORIGIN,
         shown={"access-control-allow-origin": "https://shop.example"}),
    Case("pages of a named origin may call", 200, path="/hours", headers=ORIGIN,
         shown={"access-control-allow-origin": "https://shop.example"}),
    Case("their scripts read refusals as well", 401, headers=ORIGIN,
         shown={"access-control-allow-origin": "https://shop.example"}),
    Case("their browsers ask before", 200, "OPTIONS", "/orders", "", {**ORIGIN, **ASKING},
         shown={"access-control-allow-origin": "https://shop.example", "access-control-max-age": "600"}),
    Case("pages of others may not", 200, path="/hours", headers={"origin": "https://evil.example"},
         shown={"access-control-allow-origin": None}),
    Case("their browsers are told so", 405, "OPTIONS", "/orders", "", {**ASKING, "origin": "https://evil.example"},
         shown={"access-control-allow-origin": None}),
)  # fmt: skip

RAW: Sequence[tuple[str, bytes, int]] = (
    ("TRACE is refused", b"TRACE /hours HTTP/1.1\r\nhost: a\r\n", 405),
    ("two hosts are refused", b"GET /hours HTTP/1.1\r\nhost: a\r\nhost: b\r\n", 400),
    ("no host is refused", b"GET /hours HTTP/1.1\r\n", 400),
    ("two lengths are refused", b"GET /hours HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 1\r\n", 400),
    (
        "a length beside chunks is refused",
        b"POST /orders HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n",
        400,
    ),
    ("an old protocol is refused", b"GET /hours HTTP/1.0\r\nhost: a\r\n", 426),
    ("names with underscores are refused", b"GET /hours HTTP/1.1\r\nhost: a\r\nx_atoll_subject: a\r\n", 400),
    ("a name that begins with a space is refused", b"GET /hours HTTP/1.1\r\nhost: a\r\n x: y\r\n", 400),
)
"""What no ordinary client sends: its head, which an empty line ends, and the status to expect."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Gate:
    """The gateway, wherever it is."""

    url: str
    callers: Callers

    def ask(self, case: Case) -> Answer:
        return self.send(case.method, case.path, {**case.headers, **self.callers.headers(case.who)}, case.body)

    def is_shut(self) -> bool:
        """Whether what is to be down is so by now."""
        return self.send("GET", "/shut/x", {}).status == 503

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        media = {"content-type": "application/json"} if body else {}
        try:
            connection.request(method, path, body or None, {**media, **headers})
            answer = connection.getresponse()
            shown = {name.lower(): answer.headers.get_all(name) or [] for name in answer.headers}
            return Answer(answer.status, {name: ", ".join(each) for name, each in shown.items()}, answer.read())
        finally:
            connection.close()

    def send_raw(self, head: bytes) -> int:
        """The status of the answer."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        connection.connect()
        try:
            connection.sock.sendall(head + b"connection: close\r\n\r\n")
            answer = http.client.HTTPResponse(connection.sock)
            answer.begin()
            return answer.status
        finally:
            connection.close()


def answered(gate: Gate, case: Case) -> Answer:
    """The answer, which is the one to expect; a refusal is a problem document that tells no more than it may."""
    answer = gate.ask(case)
    assert answer.status == case.status, answer
    for name, value in case.shown.items():
        assert answer.headers.get(name) == value, answer.headers
    if case.answer is not None:
        assert answer.json == case.answer
    if case.status >= 400:
        is_problem(answer, before_trace=case.status in {400, 431})
    return answer


def is_problem(answer: Answer, *, before_trace: bool = False) -> None:
    """Of the one shape that everybody answers. before_trace: the request was refused before there was one."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert told.keys() >= {"type", "title", "status", "instance"}
    assert told["status"] == answer.status
    assert told["type"].startswith("urn:atoll:problem:")
    assert before_trace or TRACE.fullmatch(told["trace_id"])
    assert (answer.headers.get("www-authenticate") == "Bearer") == (answer.status == 401)
    secret = ("jwt", "rbac", "envoy", "signature", "expired", "audience", "127.0.0.1", "upstream")
    assert not [word for word in secret if word in answer.body.decode().lower()]


def refusals(gate: Gate) -> set[tuple[str, ...]]:
    """What is told to whoever comes with a wrong token, without what is another for each request."""
    wrong = [case for case in CASES if case.status == 401 and case.path == "/me" and not case.headers]
    answers = [gate.ask(case) for case in wrong]
    assert len(answers) > 12
    return {
        (json.dumps({**answer.json, "trace_id": ""}, sort_keys=True), *sorted(set(answer.headers) - {"date"}))
        for answer in answers
    }


def leaks(gate: Gate) -> list[tuple[str, str]]:
    """Headers by which callers make themselves known, or somebody else, and which a service got all the same."""
    found: list[tuple[str, str]] = []
    for who in ("", "ned: a", "partner"):
        seen = gate.send("GET", "/echo/headers", {**FORGED, **gate.callers.headers(who)}).json
        known = {"x-atoll-subject": who.partition(":")[0], "x-atoll-scopes": {"ned: a": "a"}.get(who, "orders:write")}
        hidden = {"authorization", "x-api-key", "x-atoll-key", *(() if who else known)}
        found += [(name, value) for name, value in seen if name in hidden or known.get(name, value) != value]
        assert len(seen) > 3
    return found


def hurried(gate: Gate) -> int:
    """How many of twelve hasty requests of one caller are served; each answer says how much is left."""
    answers = [gate.ask(Case("", 0, who="olga: a")) for _ in range(12)]
    served = [answer for answer in answers if answer.status == 200]
    limited = [answer for answer in answers if answer.status == 429]
    assert served + limited == answers, [answer.status for answer in answers]
    assert '"token";r=4;t=' in served[0].headers["ratelimit"]
    assert all(answer.headers["ratelimit-policy"] == '"client";q=200;w=1, "token";q=5;w=60' for answer in answers)
    for answer in limited:
        is_problem(answer)
        assert answer.json["type"] == "urn:atoll:problem:rate-limited"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert '"token";r=0;t=' in answer.headers["ratelimit"]
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    return len(served)
