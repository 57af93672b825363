"""What a request, event or scheduled run carries along: trace, deadline, caller."""

import math
import random
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial

import msgspec

from atoll.runtime.idempotency import Idempotency
from atoll.wire import headers as names
from atoll.wire.headers import parse_deadline, parse_traceparent


class Identity(msgspec.Struct, frozen=True):
    """A caller as the gateway verified it; see model/resources.py."""

    subject: str = ""
    scopes: frozenset[str] = frozenset()


NOBODY = Identity()

_TRACEPARENT, _TRACESTATE, _BAGGAGE = names.TRACEPARENT.encode(), names.TRACESTATE.encode(), names.BAGGAGE.encode()
_DEADLINE, _SUBJECT = names.DEADLINE.encode(), names.CALLER_SUBJECT.encode()
_SCOPES = names.CALLER_SCOPES.encode()


# 0 would mean "none"; it comes once in 2**64.
new_trace_id: Callable[[], int] = partial(random.getrandbits, 128)
new_span_id: Callable[[], int] = partial(random.getrandbits, 64)


class Context(msgspec.Struct, eq=False):
    """One per incoming request, event or scheduled run.

    trace_id: 128 bits; span_id: of the span that does the work; parent_id: of whoever asked for it, 0 if nobody did.
    sampled: whether its spans are recorded.
    deadline: seconds of time.monotonic(); inf for none.
    idempotency: the caller's key, where the operation keeps keys and the request has one.
    calls: how many downstream calls it has made; keys for them are derived from this ordinal.
    in_transaction: how many transactions are open in it.
    """

    trace_id: int
    parent_id: int = 0
    sampled: bool = True
    deadline: float = math.inf
    caller: Identity = NOBODY
    tracestate: str = ""
    baggage: str = ""
    span_id: int = msgspec.field(default_factory=new_span_id)
    idempotency: Idempotency | None = None
    calls: int = 0
    in_transaction: int = 0

    def left(self) -> float:
        """Seconds until the deadline; inf without one, below 0 when it has passed."""
        return self.deadline - time.monotonic()


current: ContextVar[Context | None] = ContextVar("atoll_context", default=None)
"""The context of the work at hand; None outside of any."""


def incoming(headers: Mapping[bytes, bytes], now: float, patience: float) -> Context:
    """The context of a request.

    headers: by lower-case name. now: when it came, seconds of time.monotonic().
    patience: seconds it may take when the caller does not say.
    """
    left = headers.get(_DEADLINE)
    seconds = parse_deadline(left) if left is not None else None
    deadline = now + (patience if seconds is None else seconds)
    parent = headers.get(_TRACEPARENT)
    trace = parse_traceparent(parent) if parent is not None else None
    if trace is None:
        context = Context(new_trace_id(), 0, True, deadline)
    else:
        context = Context(trace[0], trace[1], trace[2], deadline)
        # It belongs to the traceparent, and means nothing without.
        context.tracestate = headers.get(_TRACESTATE, b"").decode("latin-1")
    if _BAGGAGE in headers:
        context.baggage = headers[_BAGGAGE].decode("latin-1")
    if _SUBJECT in headers:
        context.caller = caller_of(headers)
    return context


def caller_of(headers: Mapping[bytes, bytes]) -> Identity:
    """Who calls. headers: by lower-case name."""
    if _SUBJECT not in headers:
        return NOBODY
    scopes = headers.get(_SCOPES, b"").decode("latin-1")
    return Identity(headers[_SUBJECT].decode("utf-8", "replace"), frozenset(scopes.split()))


class CurrentCaller:
    """The caller of the work at hand, for who was given it once and for all; implements model.resources.Caller."""

    @property
    def subject(self) -> str:
        context = current.get()
        return context.caller.subject if context else ""

    @property
    def scopes(self) -> frozenset[str]:
        context = current.get()
        return context.caller.scopes if context else frozenset()
