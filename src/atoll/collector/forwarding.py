"""Sends what was stored to another program as well; what can't be brought in time is dropped and counted."""

import asyncio
import http.client
import logging
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from urllib.parse import unquote, urlsplit

from atoll.collector.arrivals import Arrival
from atoll.collector.forms import Form, Taken
from atoll.collector.limits import Limits
from atoll.wire.protobuf import MalformedError

PATIENCE = 10.0
"""Seconds for an answer."""

AGAIN_AFTER = 1.0
"""Seconds between two attempts."""

_LAST = 1.5
"""Seconds in which the last of it is sent when the collector stops."""

_TOGETHER = 2**20
"""Bytes that are sent at once, if no single request was larger."""

_LONGEST_ANSWER = 8 * 2**20

logger = logging.getLogger("atoll.collector")


class Forwarder:
    """A thread that sends in one form to one address, while the block lasts.

    name: as `Forward` has it. url: "http://127.0.0.1:9411", with "user:password@" where it wants to know who asks.
    lost: told how many spans or lines will not arrive. At most `limits.forwarding` bytes wait; what comes then is lost.
    """

    def __init__(self, name: str, url: str, form: Form, limits: Limits, lost: Callable[[int], None]) -> None:
        self._name, self._form, self._limits, self._lost = name, form, limits, lost
        self._target = _Target(url, form)
        self._queue: deque[Taken] = deque()
        self._waiting = 0
        self._stopping = False
        self._wake = threading.Condition()
        self._answers = True
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    async def __aenter__(self) -> "Forwarder":
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join, _LAST)

    def put(self, arrivals: Sequence[Arrival]) -> None:
        """Send these soon. Never waits."""
        for arrival in arrivals:
            taken = self._form.take(arrival)
            if not taken.size:
                continue
            with self._wake:
                if self._waiting + len(taken.body) <= self._limits.forwarding:
                    self._waiting += len(taken.body)
                    self._queue.append(taken)
                    self._wake.notify()
                    continue
            self._lost(taken.size)

    # --- in the thread

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            self._bring(taken)
            with self._wake:
                self._waiting -= len(taken.body)
        self._target.close()

    def _take(self) -> Taken | None:
        """What is sent together; None at the end."""
        with self._wake:
            while not self._queue and not self._stopping:
                self._wake.wait()
            bodies: list[bytes] = []
            size = count = 0
            while self._queue and (not bodies or size + len(self._queue[0].body) <= _TOGETHER):
                body, each = self._queue.popleft()
                bodies.append(body)
                size += len(body)
                count += each
            return Taken(b"".join(bodies), count) if bodies else None

    def _bring(self, taken: Taken) -> None:
        """Until it has arrived, or was refused, or is too old."""
        try:
            body = self._form.encode(taken.body)
        except MalformedError as error:
            self._drop(taken.size, str(error))
            return
        too_late = time.monotonic() + self._limits.forwarding_seconds
        while True:
            try:
                status, answer = self._target.post(body)
            except (OSError, http.client.HTTPException, ValueError) as error:  # the last: of an address that is none
                status, answer, reason = 0, b"", str(error) or type(error).__name__
            else:
                reason = f"it answers {status} {answer[:200].decode(errors='replace')}"
            if 200 <= status < 300:
                self._arrived(self._form.refused(answer))
                return
            if status not in (0, 429) and status < 500:
                self._drop(taken.size, reason)
                return
            self._tell(reason)
            with self._wake:
                if not self._stopping:
                    self._wake.wait_for(lambda: self._stopping, AGAIN_AFTER)
                if self._stopping or time.monotonic() > too_late:
                    break
        self._lost(taken.size)

    def _arrived(self, refused: int) -> None:
        if refused:
            self._drop(refused, "it took the others of the same request")
        elif not self._answers:
            logger.warning("%s takes what is forwarded to %s again", self._name, self._target.place)
            self._answers = True

    def _drop(self, count: int, reason: str) -> None:
        self._tell(reason)
        self._lost(count)

    def _tell(self, reason: str) -> None:
        """Once, until it answers again: these lines are forwarded too."""
        if self._answers:
            logger.warning("%s does not take what is forwarded to %s: %s", self._name, self._target.place, reason)
            self._answers = False


class _Target:
    """Where it is sent, over a connection that is kept."""

    def __init__(self, url: str, form: Form) -> None:
        parts = urlsplit(url)
        self.place = parts.netloc.rpartition("@")[2]
        self._path = parts.path.rstrip("/") + form.path
        self._headers = {"content-type": form.kind}
        if parts.username is not None:
            who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["authorization"] = f"Basic {b64encode(who.encode()).decode()}"
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(parts.hostname or "", parts.port, timeout=PATIENCE)

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError, HTTPException."""
        try:
            self._connection.request("POST", self._path, body, self._headers)
            answer = self._connection.getresponse()
            said = answer.read(_LONGEST_ANSWER)
            if not answer.isclosed():  # there is more of it
                self._connection.close()
        except BaseException:
            self._connection.close()
            raise
        return answer.status, said

    def close(self) -> None:
        self._connection.close()
