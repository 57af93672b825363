"""Who may come in through the gateway, how often, and from which pages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from atoll.model.resources import Secret

Per = Literal["client", "token", "route", "whole"]

SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
"""A scope (RFC 6749): printable, without space, quote and backslash."""

CLIENT = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""The name of a client with a key."""

_SECONDS: Mapping[str, int] = {"s": 1, "min": 60, "h": 3600}
_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|min|h)")


@dataclass(frozen=True)
class Jwt:
    """Bearer tokens of an issuer: who has one is called what its `sub` says, and may do what its `scope` lists.

    issuer, audience: what a token must say in `iss` and `aud`. It must expire, too.
    jwks: where the issuer's public keys are: "https://…", or a file, relative to the system file.

    In `atoll run` tokens of a local issuer are accepted as well: see `atoll token`. In a cluster never.
    """

    issuer: str
    audience: str
    jwks: str


@dataclass(frozen=True)
class ApiKeys:
    """Keys of clients, who send theirs in the header.

    keys: a secret with a line for each client, as `atoll key` prints them; it holds hashes, never a key.
    scopes: what each client may do, by its name; one that is not listed may do what needs no scope.
    """

    keys: Secret
    scopes: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    header: str = "x-api-key"


@dataclass(frozen=True)
class RateLimit:
    """How much is let in; more is answered 429 with `Retry-After`. Each gateway replica gives its share of it.

    rate: "20/s", "600/min" or "10000/h".
    per: "client": an address; "token": whoever a token or key belongs to; "route": an operation, all clients together;
    "whole": everything.
    burst: how much may come at once; 0 is the rate's own number.
    """

    rate: str
    per: Per = "client"
    burst: int = 0


@dataclass(frozen=True)
class Cors:
    """Pages of other origins whose scripts may call.

    origins: such as "https://shop.example"; "*" is any. credentials: whether cookies come along.
    headers: that scripts may send. max_age: seconds that a browser remembers the permission.
    """

    origins: Sequence[str]
    credentials: bool = False
    headers: Sequence[str] = ("authorization", "content-type", "idempotency-key", "x-api-key")
    max_age: int = 600


def is_url(jwks: str) -> bool:
    """Whether the keys are somewhere else, and no file."""
    return "://" in jwks


def rate_of(text: str) -> tuple[int, int] | None:
    """Requests and the seconds in which they may come; None for what is no rate."""
    match = _RATE.fullmatch(text)
    return (int(match[1]), _SECONDS[match[2]]) if match else None
