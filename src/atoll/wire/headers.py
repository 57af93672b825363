"""The headers that carry a call's context, over HTTP and over NATS alike."""

import re

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
BAGGAGE = "baggage"
DEADLINE = "x-envoy-expected-rq-timeout-ms"
"""Milliseconds that are left for the call; the gateway sends it, every service passes on what remains."""
IDEMPOTENCY_KEY = "idempotency-key"
REQUEST_ID = "x-request-id"
RETRY_AFTER = "retry-after"
RETRIED = "atoll-retried"
"""On an answer: the failure was below whoever sent it, and they have retried what may be: nobody above does."""
CALLER_SUBJECT = "x-atoll-subject"
CALLER_SCOPES = "x-atoll-scopes"
"""Who calls, as the gateway verified it; the gateway removes both from whatever comes from outside."""

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST_DEADLINE = 10  # digits: 115 days


def parse_traceparent(value: bytes | str) -> tuple[int, int, bool] | None:
    """Trace id, span id of the caller, whether it is sampled; None where the header breaks the rules.

    Source: W3C Trace Context, version 00; of later versions what 00 knows is read.
    """
    found = _TRACEPARENT.fullmatch(value.encode() if isinstance(value, str) else value)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    trace, span = int(trace_id, 16), int(span_id, 16)
    if not trace or not span or version == b"ff" or (more and version == b"00"):
        return None
    return trace, span, bool(int(flags, 16) & 1)


def traceparent(trace_id: int, span_id: int, sampled: bool) -> bytes:
    """The header of a call made by this span."""
    return b"00-%032x-%016x-0%d" % (trace_id, span_id, sampled)


def parse_deadline(value: bytes | str) -> float | None:
    """Seconds that are left; None where the header is no number of milliseconds."""
    if not value.isdigit() or len(value) > _LONGEST_DEADLINE or not value.isascii():
        return None
    return int(value) / 1000
