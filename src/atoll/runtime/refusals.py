"""Every answer that the server gives by itself instead of an operation's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """status: of the answer. kind: last part of the problem's type. title: the same for every one of this kind."""

    status: int
    kind: str
    title: str
    detail: str = ""


BAD_REQUEST = Refusal(400, "bad-request", "Not a valid HTTP request")
BAD_HOST = Refusal(400, "bad-request", "Not a valid HTTP request", "A request has exactly one Host header.")
BAD_FRAMING = Refusal(
    400, "bad-request", "Not a valid HTTP request", "Transfer-Encoding is chunked, and needs HTTP/1.1."
)
BAD_TARGET = Refusal(400, "bad-request", "Not a valid HTTP request", "The path or query is not percent-encoded UTF-8.")
NOT_JSON = Refusal(400, "not-json", "The body is not JSON")
FORBIDDEN = Refusal(403, "forbidden", "This is not allowed")
NOT_FOUND = Refusal(404, "not-found", "Nothing is at this path")
METHOD_NOT_ALLOWED = Refusal(405, "method-not-allowed", "The path does not answer this method")
TOO_SLOW = Refusal(408, "request-timeout", "The request did not arrive in time")
KEY_RUNNING = Refusal(409, "key-running", "A request with this Idempotency-Key is still running")
TARGET_TOO_LONG = Refusal(414, "target-too-long", "Path and query are too long")
UNSUPPORTED_MEDIA_TYPE = Refusal(
    415, "unsupported-media-type", "The body has to be JSON", "Send it with Content-Type: application/json."
)
UNSUPPORTED_ENCODING = Refusal(
    415, "unsupported-media-type", "The body has to be JSON", "Send it without a Content-Encoding."
)
INVALID_REQUEST = Refusal(422, "invalid-request", "The request does not fit the contract")
KEY_REUSED = Refusal(422, "key-reused", "This Idempotency-Key was used with a different request")
HEADERS_TOO_LARGE = Refusal(431, "headers-too-large", "The headers are too large")
DISCONNECTED = Refusal(499, "disconnected", "The caller has gone")
INTERNAL = Refusal(500, "internal", "Something went wrong here")
INJECTED = Refusal(500, "injected", "Failed on purpose", "Somebody asked for it with `atoll fault`.")
DEPENDENCY_FAILED = Refusal(502, "dependency-failed", "A service that this one needs did not answer")
OVERLOADED = Refusal(503, "overloaded", "Too many requests are at work", "Try again later.")
STOPPING = Refusal(503, "stopping", "This replica is stopping", "Try again: another replica answers.")
DATABASE_UNREACHABLE = Refusal(503, "database-unreachable", "The database of this service can't be reached")
DEADLINE_EXCEEDED = Refusal(504, "deadline-exceeded", "The time for this request ran out")
DEPENDENCY_LATE = Refusal(504, "dependency-late", "A service that this one needs did not answer in time")
STREAM_IDLE = Refusal(504, "stream-idle", "The stream had nothing to say for too long")


def too_large(limit: int) -> Refusal:
    """limit: most bytes of a body."""
    return Refusal(413, "too-large", "The body is too large", f"At most {limit:,} bytes are accepted.")
