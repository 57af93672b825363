"""One call under way."""

import msgspec

from atoll.model.contract import Fault
from atoll.runtime.discovery import Endpoint
from atoll.runtime.prepared import Prepared
from atoll.runtime.replicas import Replica
from atoll.runtime.resilience.breaker import Permit


class Call(msgspec.Struct, gc=False):
    """One call under way. deadline, start: time.monotonic_ns().

    target, body, headers: of the request; the last are whole lines. span_id: of the caller's span, for all attempts.
    failed_at: the replica where the attempt before failed. uncertain: one that brought no answer may have been
    carried out nevertheless. revived: a connection was found closed and the request sent again.
    good: what the call says of the destination, None while it says nothing. status: of the last answer, 0 for none.
    error: what it ended with, "" if well. refused: by a declared fault below 500, which is an answer and no failure.
    """

    operation: Prepared
    target: bytes
    body: bytes
    headers: bytes
    trace_id: int
    span_id: int
    parent_id: int
    sampled: bool
    start: int
    deadline: int
    permit: Permit
    attempts: int = 1
    failed_at: Replica | None = None
    uncertain: bool = False
    revived: bool = False
    good: bool | None = None
    status: int = 0
    error: str = ""
    refused: bool = False

    def ended(self, error: Exception) -> None:
        """Its caller is told so."""
        self.error = type(error).__name__
        self.refused = isinstance(error, Fault) and type(error).status < 500

    def request(self, endpoint: Endpoint, left: int) -> bytes:
        """All bytes of the request, for a replica there. left: milliseconds to the deadline."""
        common = (
            endpoint.base,
            self.target,
            endpoint.authority,
            self.trace_id,
            self.span_id,
            self.sampled,
            left,
            self.headers,
        )
        if not self.operation.carries:
            return self.operation.head % common
        return self.operation.head % (*common, len(self.body), self.body)
