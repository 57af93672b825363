"""Log lines in the fields of the Elastic Common Schema. Source: ECS 8.17."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from atoll.collector.arrivals import LogIn

VERSION = "8.17"
_LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
_MOST_LABELS = 32
"""Of one line; any further attribute is left out."""

_LONGEST_LABEL = 1_024
"""Characters; the rest is cut."""

# What our own lines, and the semantic conventions, call what ECS has a field for.
_FIELDS: Mapping[str, str] = {
    "logger": "log.logger",
    "error": "error.stack_trace",
    "exception.type": "error.type",
    "exception.message": "error.message",
    "exception.stacktrace": "error.stack_trace",
}


def ecs_document(line: LogIn, system: str, longest: int) -> dict[str, str]:
    """The line under the names of ECS: @timestamp, message, log.level, service.name, trace.id, span.id.

    Other attributes are labels, which are texts whatever they were: no value can be of another type than the last.
    longest: characters of a text; the rest is cut.
    """
    seconds, nanoseconds = divmod(max(line.time, 0), 1_000_000_000)
    clock = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    found = {
        "@timestamp": f"{clock}.{nanoseconds:09}Z",
        "message": line.body[:longest],
        "log.level": _LEVELS[max(0, min(line.severity - 1, 23)) // 4],
        "service.name": line.service,
        "service.node.name": line.replica,
        "ecs.version": VERSION,
        "labels.system": system,
    }
    if line.trace:
        found["trace.id"] = line.trace.hex()
    if line.span:
        found["span.id"] = line.span.hex()
    attributes = msgspec.json.decode(line.attributes, type=dict[str, object]) if line.attributes else {}
    labels = 0
    for key, value in attributes.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if key in _FIELDS:
            found.setdefault(_FIELDS[key], text[:longest])
        elif labels < _MOST_LABELS:
            labels += 1
            # A dot would make an object of what may be a text in another line.
            found.setdefault(f"labels.{key.replace('.', '_')}", text[:_LONGEST_LABEL])
    return found
