"""Log lines on their way to who takes OTLP."""

import logging
from collections import deque

from atoll.runtime.context import current
from atoll.runtime.telemetry.encoding import log_record
from atoll.runtime.telemetry.logs import extras, message

MOST_WAITING = 10_000
_LONGEST_TRACEBACK = 16_384
_FORMAT = logging.Formatter()


class Lines:
    """Encoded lines that wait, in their order; where more would wait than `most`, the oldest go.

    dropped: how many have gone so.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._waiting: deque[bytes] = deque(maxlen=most)
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, line: bytes) -> None:
        self.dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(line)

    def take(self, most: int) -> list[bytes]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), most))]


class Shipping(logging.Handler):
    """Encodes each line and keeps it until the exporter takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines()

    def emit(self, record: logging.LogRecord) -> None:
        context = current.get()
        ids = (context.trace_id, context.span_id) if context else (0, 0)
        try:
            said = {"logger": record.name, **extras(record)}
            if record.exc_info:
                said["exception.stacktrace"] = _FORMAT.formatException(record.exc_info)[-_LONGEST_TRACEBACK:]
            self.lines.add(log_record(record, message(record), said, ids))
        except Exception:  # noqa: BLE001 (a line that can't be encoded must not fail who writes it)
            self.handleError(record)
