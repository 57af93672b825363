"""Why a request is not taken, and how that is told to its sender."""


class Refused(Exception):
    """Nothing of the request was stored.

    status: 413 too large, 415 of another kind, 400 no OTLP, 429 too much waits, 503 it could not be written; the last
    two may be sent again. limit: the name in `limits.HITS` under which it is counted; "" is not counted.
    """

    def __init__(self, status: int, reason: str, limit: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.limit = status, reason, limit

    @property
    def is_passing(self) -> bool:
        """Whether the same may be taken a moment later."""
        return self.status in (429, 503)


def too_large(reason: str) -> Refused:
    return Refused(413, reason, "request too large")


def invalid(reason: str) -> Refused:
    return Refused(400, reason, "invalid request")
