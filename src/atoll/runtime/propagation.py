"""What a call takes along of the request, event or run that it is made for."""

import hashlib
import secrets

from atoll.runtime.context import NOBODY, Context
from atoll.wire.headers import BAGGAGE, CALLER_SCOPES, CALLER_SUBJECT, IDEMPOTENCY_KEY, TRACESTATE


def carried(context: Context, *, outside: bool) -> bytes:
    """Header lines for trace state, baggage and caller. outside: the callee belongs to somebody else.

    Who our caller is and what our baggage holds is none of a stranger's business.
    """
    if not context.tracestate and not context.baggage and context.caller is NOBODY:
        return b""
    lines = [_line(TRACESTATE, context.tracestate)]
    if not outside:
        scopes = " ".join(sorted(context.caller.scopes))
        lines.append(_line(BAGGAGE, context.baggage))
        lines.append(_line(CALLER_SUBJECT, context.caller.subject, "utf-8"))
        lines.append(_line(CALLER_SCOPES, scopes))
    return b"".join(lines)


def key_line(context: Context | None, service: str, operation: str) -> bytes:
    """The header line with the Idempotency-Key of one call, the same for all its attempts.

    Derived where the caller sent us one: whoever repeats the request with its key repeats the same calls in the same
    order, so each gets the key it had before. Otherwise random.
    """
    if context is None or context.idempotency is None:
        return _line(IDEMPOTENCY_KEY, secrets.token_hex(16))
    incoming = context.idempotency
    context.calls += 1
    parts = (incoming.scope, incoming.key, service, operation, str(context.calls))
    return _line(IDEMPOTENCY_KEY, hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32])


def _line(name: str, value: str, encoding: str = "latin-1") -> bytes:
    """The header line; b"" for no value."""
    # What came in a header has neither line ends nor other control characters; what a program put there may.
    safe = value if value.isprintable() else "".join(filter(str.isprintable, value))
    return f"{name}: {safe}\r\n".encode(encoding, "replace") if value else b""
