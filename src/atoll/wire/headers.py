"""The headers that carry a call's context, over HTTP and over NATS alike."""

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
"""Who calls, as the gateway verified it; scopes have spaces between them. The gateway removes both from what comes
from outside."""

_HEXADECIMAL = b"0123456789abcdef"
_LONGEST_DEADLINE = 10  # digits: 115 days


def parse_traceparent(value: bytes | str) -> tuple[int, int, bool] | None:
    """Trace id, span id of the caller, whether it is sampled; None where the header breaks the rules.

    Source: W3C Trace Context, version 00; of later versions what 00 knows is read.
    """
    text = value.encode(errors="replace") if isinstance(value, str) else value
    if len(text) != 55 and (text[:2] == b"00" or text[55:56] != b"-"):
        return None
    # int() takes signs, spaces and underscores too; so first: nothing but digits and the dashes, where they belong.
    dashes = text[:55].translate(None, _HEXADECIMAL) == b"---" and text[2] == text[35] == text[52] == 45
    if not dashes or text[:2] == b"ff":
        return None
    trace_id, span_id = int(text[3:35], 16), int(text[36:52], 16)
    return (trace_id, span_id, bool(int(text[53:55], 16) & 1)) if trace_id and span_id else None


def traceparent(trace_id: int, span_id: int, sampled: bool) -> bytes:
    """The header of a call made by this span."""
    return b"00-%032x-%016x-0%d" % (trace_id, span_id, sampled)


def parse_deadline(value: bytes | str) -> float | None:
    """Seconds that are left; None where the header is no number of milliseconds."""
    if not value.isdigit() or len(value) > _LONGEST_DEADLINE or not value.isascii():
        return None
    return int(value) / 1000
