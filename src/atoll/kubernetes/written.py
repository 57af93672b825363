"""Where each entry of a TOML file stands, so that a problem can say it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_NAMES = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_TABLE = re.compile(rf"\s*\[\s*({_NAMES})\s*\]")
_ENTRY = re.compile(rf"\s*({_NAMES})\s*=")
_PART = re.compile(_NAME)


@dataclass(frozen=True, slots=True)
class Written:
    """path: of the file, as people are told it. lines: from 1, by entry, such as "gateway.hosts"."""

    path: str
    lines: Mapping[str, int] = field(default_factory=dict)

    def at(self, entry: str) -> str:
        """Its place, such as "environments/test.toml:12"; of what is not written, that of the table it belongs to."""
        name = entry.strip("[]")
        while name and name not in self.lines:
            name = name.rpartition(".")[0]
        return f"{self.path}:{self.lines[name]}" if name else self.path


def shown(entry: str, value: object) -> str:
    """The value as people are told it; of [secrets] never, for somebody may have written one that is secret."""
    return "'…'" if entry.partition(".")[0] == "secrets" else repr(value)


def lines_of(text: str) -> dict[str, int]:
    """Of each table and entry that has a line of its own. A text of several lines may be taken for entries, which is
    of no harm: nobody asks for them.
    """
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := _TABLE.match(line):
            table = _joined(head[1])
            found.setdefault(table, number)
        elif entry := _ENTRY.match(line):
            name = _joined(entry[1])
            found.setdefault(f"{table}.{name}" if table else name, number)
    return found


def _joined(names: str) -> str:
    return ".".join(each.strip("\"'") for each in _PART.findall(names))
