"""Objects as YAML: the same objects give the same bytes, in the order in which they were made.

Our own writer, for a system of 500 services has 6,000 objects and is to be written in a second; the values that occur
are those of JSON, and the reader of the tests is a library's.
"""

import json
import re
from collections.abc import Iterable, Sequence

from atoll.kubernetes.names import Object

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.+-]*(?:[ :@][A-Za-z0-9_/.+-]+)*")
# What a reader would take for something else than text; YAML 1.1 knows more of them than 1.2.
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def yaml(objects: Iterable[Object]) -> str:
    """Documents, each after a line "---"."""
    lines: list[str] = []
    for each in objects:
        lines.append("---")
        _mapping(each, "", lines)
    return "\n".join(lines) + "\n"


def _mapping(value: dict[str, object], indent: str, lines: list[str], first: str = "") -> None:
    """first: what stands before the first key instead of the indent, as "- " of a list does."""
    lead = first or indent
    for key, each in value.items():
        _entry(f"{lead}{_scalar(key)}:", each, indent, lines)
        lead = indent


def _entry(start: str, value: object, indent: str, lines: list[str]) -> None:
    if isinstance(value, dict) and value:
        lines.append(start)
        _mapping(value, indent + "  ", lines)
    elif isinstance(value, list) and value:
        lines.append(start)
        _sequence(value, indent + "  ", lines)
    elif isinstance(value, str) and "\n" in value and _fits_block(value):
        lines.append(f"{start} |{'' if value.endswith(chr(10)) else '-'}")
        lines.extend(f"{indent}  {line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    else:
        lines.append(f"{start} {_scalar(value)}")


def _sequence(values: Sequence[object], indent: str, lines: list[str]) -> None:
    for each in values:
        if isinstance(each, dict) and each:
            _mapping(each, indent + "  ", lines, f"{indent}- ")
        elif isinstance(each, list) and each:
            lines.append(f"{indent}-")
            _sequence(each, indent + "  ", lines)
        else:
            lines.append(f"{indent}- {_scalar(each)}")


def _fits_block(text: str) -> bool:
    """Whether a block keeps it as it is: it begins with no space, ends with one line's end, and all can be shown."""
    lines = text.removesuffix("\n").split("\n")
    return lines[-1] != "" and not lines[0].startswith(" ") and lines[0] != "" and text.replace("\n", "").isprintable()


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    if isinstance(value, float):
        # With a point, or YAML 1.1 reads a text.
        digits, e, exponent = repr(value).partition("e")
        return f"{digits}{'' if '.' in digits else '.0'}{e}{exponent}"
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    return "{}" if isinstance(value, dict) else "[]"


def _quoted(text: str) -> str:
    """A string of JSON, which YAML reads too, with what YAML wants to be escaped and JSON does not."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in written)
