"""What the admin port answers: whether the process lives, whether it is ready, its metrics, and orders to fail."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from atoll.runtime.exchanges import Exchange, status_line
from atoll.runtime.faults import Faults
from atoll.runtime.refusals import METHOD_NOT_ALLOWED, NOT_FOUND, Refusal
from atoll.runtime.telemetry.metrics import Metrics
from atoll.wire.exposition import MEDIA_TYPE as TEXT
from atoll.wire.faults import MEDIA_TYPE, problem

LARGEST_ORDER = 1_024
"""Bytes of what the port is told."""

Reason = Callable[[], str]
"""Why the process is not ready; "" if it is."""


@dataclass(slots=True)
class Health:
    """Whether requests should be sent here.

    phase: "starting", "ready" or "stopping". reasons: of the parts that can lose what they need, by their name;
    a service's neighbours are never among them, for one that is down would take all others with it.
    """

    phase: str = "starting"
    reasons: dict[str, Reason] = field(default_factory=dict)

    def why_not(self) -> dict[str, str]:
        """By part, why this process is not ready; empty if it is."""
        found = {name: reason() for name, reason in self.reasons.items()}
        found = {name: reason for name, reason in found.items() if reason}
        return found if self.phase == "ready" else {"process": self.phase, **found}


class Admin:
    """Answers the requests of the admin port (http.Application); it sheds none."""

    def __init__(self, health: Health, metrics: Metrics, faults: Faults) -> None:
        self._health = health
        self._metrics = metrics
        self._faults = faults

    def serve(self, exchange: Exchange) -> None:
        path = exchange.target.partition(b"?")[0]
        if path == b"/fault" and exchange.method == b"PUT":
            self._order(exchange)
        elif path not in (b"/health/live", b"/health/ready", b"/metrics"):
            self.refuse(exchange, NOT_FOUND)
        elif exchange.method not in (b"GET", b"HEAD"):
            self.refuse(exchange, METHOD_NOT_ALLOWED)
        elif path == b"/metrics":
            self._answer(exchange, 200, TEXT, self._metrics.render().encode())
        elif path == b"/health/live":
            self._answer(exchange, 200, "application/json", b'{"alive":true}')
        else:
            reasons = self._health.why_not()
            body = msgspec.json.encode({"ready": not reasons, "reasons": reasons})
            self._answer(exchange, 503 if reasons else 200, "application/json", body)

    def _order(self, exchange: Exchange) -> None:
        refusal = self._faults.order(exchange.body)
        if refusal is not None:
            self.refuse(exchange, refusal)
        else:
            self._answer(exchange, 200, "application/json", msgspec.json.encode(self._faults.fault))

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        body = problem(refusal.status, refusal.kind, refusal.title, refusal.detail)
        self._answer(exchange, refusal.status, MEDIA_TYPE, body)

    def _answer(self, exchange: Exchange, status: int, media_type: str, body: bytes) -> None:
        allow = b"allow: GET, HEAD\r\n" if status == METHOD_NOT_ALLOWED.status else b""
        head = status_line(status) + f"content-type: {media_type}\r\n".encode() + allow
        exchange.connection.answer(exchange, head, body)
