"""A line of a log as a person reads it."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

_SHOWN = ("time", "level", "logger", "message", "service", "replica", "trace", "span", "error")
_LEVELS: Mapping[str, str] = {
    "debug": "dim",
    "warning": "yellow",
    "warn": "yellow",
    "error": "red",
    "critical": "bold red",
}
_UNREADABLE = (msgspec.DecodeError, RecursionError)
"""What is no JSON, and what is nested too deep."""


class Shown(msgspec.Struct, frozen=True):
    """style: of rich, "" for none. text: may have several lines, where there is a traceback."""

    text: str
    style: str = ""


def shown(line: str) -> Shown:
    """JSON lines become "12:03:04.512 warning  message  key=value trace=0af76519"; all others stay as they are."""
    if not line.startswith("{"):
        return Shown(line)
    try:
        record = msgspec.json.decode(line, type=dict[str, object])
    except _UNREADABLE:
        return Shown(line)
    if "message" not in record:
        return Shown(line)
    level = str(record.get("level", ""))
    parts = [_clock(str(record.get("time", ""))), f"{level:<7}", str(record["message"])]
    extras = [f"{key}={value}" for key, value in record.items() if key not in _SHOWN]
    if trace := record.get("trace"):
        extras.append(f"trace={str(trace)[:8]}")
    text = " ".join([*filter(None, parts), *extras])
    if error := record.get("error"):
        text += f"\n{error}"
    return Shown(text, _LEVELS.get(level, ""))


def time_of(line: str) -> str:
    """The time in a JSON line, as it is written there; "" if there is none."""
    if not line.startswith("{"):
        return ""
    try:
        return msgspec.json.decode(line, type=_Timed).time
    except _UNREADABLE:
        return ""


class _Timed(msgspec.Struct):
    time: str = ""


def _clock(time: str) -> str:
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError):  # no time, or one that is in no year here
        return time
