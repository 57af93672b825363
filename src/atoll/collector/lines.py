"""A line that some program wrote, as a log record."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from atoll.collector.arrivals import LogIn
from atoll.collector.records import as_json, as_text, when
from atoll.wire.otlp import DEEPEST

_SEVERITIES: Mapping[str, int] = {
    "trace": 1,
    "trc": 1,
    "debug": 5,
    "dbg": 5,
    "info": 9,
    "inf": 9,
    "information": 9,
    "notice": 9,
    "log": 9,
    "warning": 13,
    "warn": 13,
    "wrn": 13,
    "error": 17,
    "err": 17,
    "critical": 21,
    "fatal": 21,
    "ftl": 21,
    "panic": 21,
}
_INFO = 9
_KNOWN = frozenset({"time", "timestamp", "level", "severity", "message", "msg", "trace", "span", "trace_id", "span_id"})
# 2026-11-26 12:00:00.000 UTC [71] shop@shop ERROR:  …     [71] 2026/11/26 12:00:00.000000 [INF] …
_LEVEL = re.compile(r"\b(DEBUG|INFO|NOTICE|LOG|WARNING|ERROR|FATAL|PANIC|CRITICAL):|\[(TRC|DBG|INF|WRN|ERR|FTL)\]")
_CLOCK = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC ")
_LOOKED_AT = 200
_LONGEST = 1 << 16


def parsed(line: str, service: str, replica: str, now: int) -> LogIn:
    """JSON objects say it all by themselves; of any other line the level is looked for near its beginning.

    now: nanoseconds since the epoch, for a line that does not tell its time.
    """
    line = line.removesuffix("\r")
    if line.startswith("{") and len(line) <= _LONGEST:
        try:
            record = msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError):
            record = {}
        if "message" in record or "msg" in record:
            return _from_json(record, service, replica, now)
    found = _LEVEL.search(line, 0, _LOOKED_AT)
    level = (found.group(1) or found.group(2)).lower() if found else ""
    said = _CLOCK.match(line)
    return LogIn(service, replica, _time(said.group(1), now) if said else now, _SEVERITIES.get(level, _INFO), line)


def _from_json(record: Mapping[str, object], service: str, replica: str, now: int) -> LogIn:
    """Names as atoll's own lines, Envoy's and the usual loggers of Node.js and Go have them."""
    level = record.get("level", record.get("severity", ""))
    # pino counts in tens: 30 is "info".
    severity = _of_number(level) if isinstance(level, int) else _SEVERITIES.get(str(level).lower(), _INFO)
    trace = _id(record.get("trace", record.get("trace_id")), 32)
    span = _id(record.get("span", record.get("span_id")), 16)
    message = as_text(_shallow(record.get("message", record.get("msg"))))
    time = _time(record.get("time", record.get("timestamp")), now)
    rest = {
        key: _shallow(value)
        for key, value in record.items()
        if key not in _KNOWN and value not in (service, replica, "", None)
    }
    return LogIn(service, replica, time, severity, message, trace, span, as_json(rest) if rest else None)


def _shallow(value: object, left: int = DEEPEST) -> object:
    """Nested no deeper than OTLP's values are: who reads the store may be closer to the end of its stack than we."""
    if isinstance(value, dict):
        return {key: _shallow(each, left - 1) for key, each in value.items()} if left else "…"
    if isinstance(value, list):
        return [_shallow(each, left - 1) for each in value] if left else "…"
    return value


def _of_number(level: int) -> int:
    return max(1, min(level // 10 * 4 - 3, 21))


def _id(value: object, digits: int) -> bytes | None:
    if not isinstance(value, str) or len(value) != digits:
        return None
    try:
        return bytes.fromhex(value)
    except ValueError:
        return None


def _time(value: object, now: int) -> int:
    """ISO 8601, or a number of seconds, milliseconds or nanoseconds since the epoch."""
    return when(_said(value), now)


def _said(value: object) -> int:
    """0 for nothing that is a time."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return 0
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6) * 1_000
    if isinstance(value, int | float) and value > 0:
        for least, factor in ((1e17, 1), (1e14, 1_000), (1e11, 1_000_000), (1e8, 1_000_000_000)):
            if value >= least:
                return int(value * factor)
    return 0
