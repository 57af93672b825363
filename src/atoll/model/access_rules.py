"""Every rule of a gateway that knows its callers, limits them, and lets in other origins."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from atoll.errors import (
    BAD_API_KEYS,
    BAD_CORS,
    BAD_GATEWAY_LIMIT,
    BAD_ISSUER,
    BAD_RATE_LIMIT,
    BAD_SCOPE,
    PUBLIC_NOT_EXPOSED,
    PUBLIC_WITH_SCOPES,
    PUBLIC_WITHOUT_AUTH,
    SCOPES_WITHOUT_AUTH,
    TOKEN_LIMIT_WITHOUT_AUTH,
    TWO_RATE_LIMITS,
    Problem,
)
from atoll.model.access import CLIENT, SCOPE, ApiKeys, Jwt, is_url, rate_of
from atoll.model.contract import Operation
from atoll.model.suggest import nearest
from atoll.model.system import Gateway, Graph

_HEADER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")
_TAKEN = frozenset({"authorization", "cookie", "host", "content-type", "content-length", "x-atoll-key"})
_LEAST_HEADERS, _MOST_HEADERS, _MOST_BODY = 2**10, 2**20, 2**32 - 1
_MOST_BURST = 1_000_000
_KINDS = ("client", "token", "route", "whole")


def access_problems(graph: Graph, jwks: Mapping[str, str | None]) -> Iterator[Problem]:
    """jwks: what stands in each file that a Jwt names; None where there is none."""
    yield from _scopes(graph)
    gateway = graph.system.gateway
    if gateway is not None:
        place = graph.system.place
        yield from _public(gateway, place)
        for issuer in gateway.issuers:
            reason = _wrong_issuer(issuer, jwks)
            if reason:
                yield BAD_ISSUER.at(place, issuer=issuer.issuer, reason=reason)
        yield from _keys(gateway, place)
        yield from _limits(gateway, place)
        yield from _cors(gateway, place)


def _scopes(graph: Graph) -> Iterator[Problem]:
    gateway = graph.system.gateway
    has_auth = gateway is not None and bool(gateway.issuers or gateway.api_keys)
    for operation in _operations(graph):
        for scope in operation.scopes:
            if not SCOPE.fullmatch(scope):
                yield BAD_SCOPE.at(operation.place, scope=scope, where=operation)
        if operation.scopes and operation.public:
            yield PUBLIC_WITH_SCOPES.at(operation.place, operation=operation)
        elif operation.scopes and not has_auth:
            yield SCOPES_WITHOUT_AUTH.at(operation.place, operation=operation, scopes=", ".join(operation.scopes))


def _operations(graph: Graph) -> list[Operation]:
    """Of everything that runs in the system, each once."""
    found = {
        (operation.place, operation.name): operation
        for node in graph.nodes
        if node.kind != "external"
        for contract in node.contracts
        for operation in contract.operations
    }
    return list(found.values())


def _public(gateway: Gateway, place: str) -> Iterator[Problem]:
    exposed = [member.name for member in gateway.expose]
    for member in gateway.public:
        if member.name not in exposed:
            yield PUBLIC_NOT_EXPOSED.at(place, has=nearest(member.name, exposed), name=member.name)
    if gateway.public and not gateway.issuers and not gateway.api_keys:
        yield PUBLIC_WITHOUT_AUTH.at(place)


def _wrong_issuer(issuer: Jwt, jwks: Mapping[str, str | None]) -> str:
    """What is wrong with it; "" for nothing."""
    for name, value in (("issuer", issuer.issuer), ("audience", issuer.audience), ("jwks", issuer.jwks)):
        if not value or not value.isprintable():
            return f"its {name} is empty or not printable"
    if is_url(issuer.jwks):
        parts = urlsplit(issuer.jwks)
        is_here = parts.hostname in {"127.0.0.1", "localhost"}
        if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
            return f"{issuer.jwks} is not https, so anybody on the way could change the keys"
        return "" if parts.hostname else f"{issuer.jwks} names no host"
    content = jwks.get(issuer.jwks)
    if content is None:
        return f"there is no file {issuer.jwks}"
    try:
        keys = msgspec.json.decode(content, type=_KeySet).keys
    except (msgspec.DecodeError, UnicodeError) as error:
        return f"{issuer.jwks} is no JSON Web Key Set: {error}"
    if not keys:
        return f"{issuer.jwks} has no key"
    if any(key.kty not in {"RSA", "EC", "OKP"} or key.d is not None for key in keys):
        return f"{issuer.jwks} may have public keys alone, of the types RSA, EC and OKP"
    return ""


class _Key(msgspec.Struct):
    kty: str
    d: str | None = None


class _KeySet(msgspec.Struct):
    keys: list[_Key]


def _keys(gateway: Gateway, place: str) -> Iterator[Problem]:
    if len(gateway.api_keys) > 1:
        yield BAD_API_KEYS.at(place, reason="there are two of them", do="put all clients into one secret")
    for keys in gateway.api_keys:
        reason = _wrong_keys(keys)
        if reason:
            yield BAD_API_KEYS.at(place, reason=reason, do="correct it")
        for scopes in keys.scopes.values():
            for scope in scopes:
                if not SCOPE.fullmatch(scope):
                    yield BAD_SCOPE.at(place, scope=scope, where="ApiKeys")


def _wrong_keys(keys: ApiKeys) -> str:
    if not _HEADER.fullmatch(keys.header) or keys.header in _TAKEN:
        return f"{keys.header!r} can't be their header; write such as x-api-key"
    for client in keys.scopes:
        if not CLIENT.fullmatch(client):
            return f"{client!r} can't name a client: use lower-case letters, digits and hyphens"
    return ""


def _limits(gateway: Gateway, place: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for limit in gateway.rate_limits:
        if rate_of(limit.rate) is None:
            yield BAD_RATE_LIMIT.at(place, rate=limit.rate, reason="it is no rate")
        elif limit.per not in _KINDS:
            yield BAD_RATE_LIMIT.at(place, has=_KINDS, rate=limit.rate, reason=f"it is per {limit.per!r}")
        elif not 0 <= limit.burst <= _MOST_BURST:
            yield BAD_RATE_LIMIT.at(place, rate=limit.rate, reason=f"its burst is {limit.burst}")
        elif limit.per == "token" and not gateway.issuers and not gateway.api_keys:
            yield TOKEN_LIMIT_WITHOUT_AUTH.at(place, rate=limit.rate)
        if limit.per in seen:
            yield TWO_RATE_LIMITS.at(place, per=limit.per)
        seen.add(limit.per)
    if not 0 < gateway.body <= _MOST_BODY:
        yield BAD_GATEWAY_LIMIT.at(place, what="body", value=gateway.body, least=1, most=_MOST_BODY)
    if not _LEAST_HEADERS <= gateway.headers <= _MOST_HEADERS:
        yield BAD_GATEWAY_LIMIT.at(
            place, what="headers", value=gateway.headers, least=_LEAST_HEADERS, most=_MOST_HEADERS
        )


def _cors(gateway: Gateway, place: str) -> Iterator[Problem]:
    cors = gateway.cors
    if cors is None:
        return
    if not cors.origins:
        yield BAD_CORS.at(place, reason="it names no origin")
    for origin in cors.origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            yield BAD_CORS.at(place, reason=f"{origin!r} is no origin")
    if "*" in cors.origins and cors.credentials:
        yield BAD_CORS.at(place, reason="any origin with credentials would let every page act for its visitor")
    for header in cors.headers:
        if not _HEADER.fullmatch(header.lower()):
            yield BAD_CORS.at(place, reason=f"{header!r} is no header")
