"""Which pages of other origins may call, as Envoy tells their browsers."""

import re
from dataclasses import dataclass

from atoll.engines.xds import TYPE, named

NAME = "envoy.filters.http.cors"
_METHODS = "DELETE, GET, HEAD, PATCH, POST, PUT"
_SHOWN = "idempotency-replayed, location, ratelimit, ratelimit-policy, retry-after, x-request-id"


@dataclass(frozen=True, slots=True)
class Cors:
    """origins: ("*",) is any. headers: that scripts may send. max_age: seconds a browser remembers it."""

    origins: tuple[str, ...]
    credentials: bool = False
    headers: tuple[str, ...] = ()
    max_age: int = 600


def cors_filter() -> dict[str, object]:
    return named(NAME, "envoy.extensions.filters.http.cors.v3.Cors")


def preflight(cors: Cors) -> list[dict[str, object]]:
    """The headers of a question that the filter answers. It does so only on a route that leads somewhere."""
    origins = "|".join(".*" if each == "*" else re.escape(each) for each in cors.origins)
    return [
        {"name": ":method", "string_match": {"exact": "OPTIONS"}},
        {"name": "access-control-request-method", "present_match": True},
        {"name": "origin", "string_match": {"safe_regex": {"regex": origins}}},
    ]


def cors_policy(cors: Cors) -> dict[str, object]:
    """For every route. An origin that is not named gets no word of permission, and the browser keeps the answer."""
    matchers: list[dict[str, object]] = [
        {"safe_regex": {"regex": ".*"}} if each == "*" else {"exact": each} for each in cors.origins
    ]
    return {
        "@type": TYPE + "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": matchers,
        "allow_methods": _METHODS,
        "allow_headers": ", ".join(cors.headers),
        "expose_headers": _SHOWN,
        "allow_credentials": cors.credentials,
        "max_age": str(cors.max_age),
    }
