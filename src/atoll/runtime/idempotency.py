"""One caller's Idempotency-Key: what it stands for, and the answer that is kept under it."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass

from atoll.errors import ANSWER_TOO_LARGE, BAD_KEY, AtollError, Problem

KEY_LIMIT = 255
"""Bytes of a key; more is refused."""
ANSWER_LIMIT = 1_048_576
"""Bytes of an answer that is kept; more is refused."""
RETENTION = 24 * 3600.0
"""Seconds that an answer is kept at least."""
REPLAYED = "idempotency-replayed"
"""The header of an answer that was kept, with the value "true"."""


class KeyRefused(AtollError):
    """The request can't be served under its key. status: 400, 409, 422 or 503, as the IETF draft has it."""

    def __init__(self, problem: Problem, status: int) -> None:
        super().__init__(problem)
        self.status = status

    def __reduce__(self) -> tuple[type["KeyRefused"], tuple[Problem, int]]:
        return (type(self), (self.problems[0], self.status))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller got, or would have got: status, headers of the handler's own, JSON body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Idempotency:
    """The key of the request at hand; `Context.idempotency` while its handler runs.

    scope: whose key it is, so that one caller never gets another's answer: the caller's subject, "" for nobody known.
    fingerprint: of the whole request, see `fingerprint`. encode: turns what the handler returns into the answer.
    answered: whether the handler has given an answer. claim: tells this attempt from any other with the same key.
    kept: set where the key has an answer already: send it again with the header REPLAYED, and call no handler.
    """

    __slots__ = ("_encode", "answered", "claim", "fingerprint", "kept", "key", "scope")

    def __init__(self, key: str, fingerprint: bytes, encode: Callable[[object], Answer], scope: str = "") -> None:
        """Raises KeyRefused (400) for a key that is empty, too long, or holds what a header may not."""
        self.key = checked_key(key)
        self.scope = scope
        self.claim = random.getrandbits(63)
        self.fingerprint = fingerprint
        self.answered = False
        self.kept: Answer | None = None
        self._encode = encode

    def answer(self, value: object) -> Answer:
        """The value as it will be sent. Raises AtollError ANSWER_TOO_LARGE."""
        answer = self._encode(value)
        if len(answer.body) > ANSWER_LIMIT:
            raise ANSWER_TOO_LARGE.error(size=len(answer.body), limit=ANSWER_LIMIT)
        self.answered = True
        return answer


def checked_key(key: str) -> str:
    """The key, without the quotes that the IETF draft puts around it."""
    bare = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
    if not bare or len(bare.encode(errors="replace")) > KEY_LIMIT or not bare.isprintable():
        raise KeyRefused(BAD_KEY.at(limit=KEY_LIMIT), 400)
    return bare


def fingerprint(method: str, target: str, body: bytes) -> bytes:
    """What tells two requests apart that carry the same key. target: path and query as they came."""
    digest = hashlib.sha256(f"{method} {target}\n".encode())
    digest.update(body)
    return digest.digest()
