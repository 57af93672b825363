"""Log lines on their way to who takes OTLP."""

import logging
from collections import deque

from atoll.runtime.context import current
from atoll.runtime.telemetry.encoding import log_record
from atoll.runtime.telemetry.logs import extras, message

MOST_WAITING = 10_000
"""Lines; the oldest go first."""

_LONGEST_TRACEBACK = 16_384
_FORMAT = logging.Formatter()


class Shipping(logging.Handler):
    """Encodes each line and keeps it until the exporter takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[bytes] = deque(maxlen=MOST_WAITING)

    def emit(self, record: logging.LogRecord) -> None:
        context = current.get()
        ids = (context.trace_id, context.span_id) if context else (0, 0)
        try:
            said = {"logger": record.name, **extras(record)}
            if record.exc_info:
                said["exception.stacktrace"] = _FORMAT.formatException(record.exc_info)[-_LONGEST_TRACEBACK:]
            self.lines.append(log_record(record, message(record), said, ids))
        except Exception:  # noqa: BLE001 (a line that can't be encoded must not fail who writes it)
            self.handleError(record)
