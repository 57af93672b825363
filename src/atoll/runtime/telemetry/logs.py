"""Log lines, each with the trace and span that it belongs to."""

import logging
import sys
import time
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec

from atoll.runtime.context import current

Style = Literal["json", "human"]

_LONGEST = 16_384
"""Characters of one message or traceback; the rest is cut, for a line must fit through a pipe at a bearable pace."""

_BREAKS = (("\x85", r"\u0085"), ("\u2028", r"\u2028"), ("\u2029", r"\u2029"))
"""Where Python's splitlines(), and other programs, end a line, beside characters that JSON escapes anyway."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, service, replica, trace, span, error, and `extra` as given."""

    def __init__(self, service: str, replica: str) -> None:
        super().__init__()
        self._service, self._replica = service, replica
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message(record),
            "service": self._service,
            "replica": self._replica,
        }
        context = current.get()
        if context is not None:
            line["trace"] = f"{context.trace_id:032x}"
            line["span"] = f"{context.span_id:016x}"
        if record.exc_info:
            line["error"] = _cut_front(self.formatException(record.exc_info))
        line |= extras(record)
        try:
            text = self._encode(line).decode()
        except (TypeError, ValueError, RecursionError):  # an extra that has no JSON at all, or half a character
            whole = {key: str(value).encode(errors="replace").decode() for key, value in line.items()}
            text = self._encode(whole).decode()
        if not text.isascii():
            for character, escaped in _BREAKS:
                text = text.replace(character, escaped)
        return text


class HumanLines(logging.Formatter):
    """ "12:03:04.512 warning  atoll.client  message  trace=0af76519…"; tracebacks below."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock}.{int(record.msecs):03} {record.levelname.lower():<8} {record.name}  {message(record)}"
        said = [f"{key}={value}" for key, value in extras(record).items()]
        context = current.get()
        if context is not None:
            said.append(f"trace={context.trace_id:032x}")
        line = "  ".join([line, *said])
        if record.exc_info:
            line += "\n" + _cut_front(self.formatException(record.exc_info))
        return line


def message(record: logging.LogRecord) -> str:
    """What was said, as long as it is kept."""
    return _cut(record.getMessage())


def extras(record: logging.LogRecord) -> dict[str, object]:
    """What was given as `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def configure(
    style: Style,
    service: str,
    replica: str,
    *,
    also: logging.Handler | None = None,
    stream: TextIO = sys.stderr,
    level: int = logging.INFO,
) -> None:
    """Send everything that is logged in this process to the stream, in this style. also: whom else it is told."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(service, replica) if style == "json" else HumanLines())
    root = logging.getLogger()
    for other in list(root.handlers):
        root.removeHandler(other)
    root.addHandler(handler)
    if also is not None:
        root.addHandler(also)
    root.setLevel(level)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _cut_front(text: str) -> str:
    """Of a traceback the end matters: the error and the frames nearest to it."""
    return text if len(text) <= _LONGEST else "…" + text[-_LONGEST:]
