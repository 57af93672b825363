"""What a request, event or scheduled run carries along: trace, deadline, caller."""

import math
import random
import time
from contextvars import ContextVar

from atoll.model.resources import Caller
from atoll.runtime.idempotency import Idempotency

NOBODY = Caller()


class Context:
    """One per incoming request, event or scheduled run.

    trace_id: 128 bits; span_id: of the span that does the work; parent_id: of whoever asked for it, 0 if nobody did.
    sampled: whether its spans are recorded.
    deadline: seconds of time.monotonic(); inf for none.
    idempotency: the caller's key, where the operation keeps keys and the request has one.
    calls: how many downstream calls it has made; keys for them are derived from this ordinal.
    in_transaction: how many transactions are open in it.
    """

    __slots__ = (
        "baggage",
        "caller",
        "calls",
        "deadline",
        "idempotency",
        "in_transaction",
        "parent_id",
        "sampled",
        "span_id",
        "trace_id",
        "tracestate",
    )

    def __init__(
        self,
        trace_id: int,
        parent_id: int = 0,
        *,
        sampled: bool = True,
        deadline: float = math.inf,
        caller: Caller = NOBODY,
        tracestate: str = "",
        baggage: str = "",
    ) -> None:
        self.trace_id = trace_id
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.sampled = sampled
        self.deadline = deadline
        self.caller = caller
        self.tracestate = tracestate
        self.baggage = baggage
        self.idempotency: Idempotency | None = None
        self.calls = 0
        self.in_transaction = 0

    def left(self) -> float:
        """Seconds until the deadline; inf without one, below 0 when it has passed."""
        return self.deadline - time.monotonic()


current: ContextVar[Context | None] = ContextVar("atoll_context", default=None)
"""The context of the work at hand; None outside of any."""


def new_trace_id() -> int:
    return random.getrandbits(128) or 1  # 0 means "no trace"


def new_span_id() -> int:
    return random.getrandbits(64) or 1
