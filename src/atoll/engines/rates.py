"""Rate limits, as Envoy keeps them: a bucket a caller, and the fields of the answer that tell of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

from atoll.engines.xds import named, seconds
from atoll.wire.headers import CALLER_SUBJECT

ROUTE_METADATA = "atoll"
_MOST_BUCKETS = 10_000
"""Of one kind; the one that was not used for the longest time makes room for another, and is full again."""

_LEFT, _RESET, _LIMIT = "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-limit"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds for each of a kind, `burst` of them at once.

    share: of how many gateways each gives an equal part.
    """

    per: Literal["client", "token", "route", "whole"]
    requests: int
    seconds: int
    burst: int
    share: int = 1


def before_access(rates: Iterable[Rate]) -> list[dict[str, object]]:
    """The filters of what can be told before the caller is known, so that guesses at tokens count too."""
    return [made for each in rates if each.per != "token" for made in _filters(each)]


def after_access(rates: Iterable[Rate]) -> list[dict[str, object]]:
    return [made for each in rates if each.per == "token" for made in _filters(each)]


def limiters(rates: Iterable[Rate]) -> list[str]:
    """The names of the filters that count."""
    return [f"atoll.limit.{each.per}" for each in rates]


def policy_field(rates: Iterable[Rate]) -> str:
    """`RateLimit-Policy`, the same on every answer. Source: draft-ietf-httpapi-ratelimit-headers-11."""
    return ", ".join(f'"{each.per}";q={each.requests};w={each.seconds}' for each in rates)


def _filters(rate: Rate) -> list[dict[str, object]]:
    """The limiter, and before it, which is behind it on the way back, what turns its fields into the standard's."""
    (name,) = limiters([rate])
    return [
        named(
            f"{name}.fields",
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            mutations={
                "response_mutations": [
                    # An answer that another filter gave has no value: then nothing is added.
                    {"append": {"header": {"key": "ratelimit", "value": _field(rate)}, "keep_empty_value": False}},
                    *({"remove": each} for each in (_LEFT, _RESET, _LIMIT)),
                ]
            },
        ),
        named(
            name,
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix=f"limit_{rate.per}",
            filter_enabled={"default_value": {"numerator": 100}},
            filter_enforced={"default_value": {"numerator": 100}},
            rate_limits=[{"actions": [_ACTIONS[rate.per]]}],
            descriptors=[{"entries": [_ENTRIES[rate.per]], "token_bucket": _bucket(rate)}],
            max_dynamic_descriptors=_MOST_BUCKETS,
            enable_x_ratelimit_headers="DRAFT_VERSION_03",
            enable_retry_after_header=True,
        ),
    ]


_ACTIONS: Mapping[str, Mapping[str, object]] = {
    "client": {"remote_address": {}},
    "token": {"request_headers": {"header_name": CALLER_SUBJECT, "descriptor_key": "token"}},
    "route": {
        "metadata": {
            "descriptor_key": "route",
            "metadata_key": {"key": ROUTE_METADATA, "path": [{"key": "route"}]},
            "source": "ROUTE_ENTRY",
        }
    },
    "whole": {"generic_key": {"descriptor_key": "whole", "descriptor_value": "whole"}},
}
# Without a value, each that comes has a bucket of its own.
_ENTRIES: Mapping[str, Mapping[str, object]] = {
    "client": {"key": "remote_address"},
    "token": {"key": "token"},
    "route": {"key": "route"},
    "whole": {"key": "whole", "value": "whole"},
}


def _bucket(rate: Rate) -> dict[str, object]:
    """The share of one gateway: as many tokens in a longer time, for they are whole numbers."""
    return {
        "max_tokens": ceil(rate.burst / rate.share),
        "tokens_per_fill": rate.requests,
        "fill_interval": seconds(rate.seconds * rate.share),
    }


def _field(rate: Rate) -> str:
    there = f"'{_LEFT}' in response.headers"
    return (
        f"%CEL({there} ? '\"{rate.per}\";r=' : '')%%RESPONSE_HEADER({_LEFT})%"
        f"%CEL({there} ? ';t=' : '')%%RESPONSE_HEADER({_RESET})%"
    )
