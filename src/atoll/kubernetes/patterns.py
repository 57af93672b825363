"""Patterns of paths, as a .dockerignore has them."""

import re
from collections.abc import Iterable, Mapping

_PART = re.compile(r"\*\*/|\*\*|\*|\?|\[\^?[^\]]+\]|\\.|.", re.DOTALL)
_MEANT: Mapping[str, str] = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def patterns_of(text: str) -> list[str]:
    """The patterns of a .dockerignore."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def is_matched(path: str, patterns: Iterable[str]) -> bool:
    """Whether the last pattern that fits the path, or a folder above it, is none that begins with "!".

    path: with slashes, such as "users/keys/test.pem".
    Source: Docker's documentation of .dockerignore; Go's filepath.Match, and ** for any number of folders.
    """
    found = False
    for pattern in patterns:
        is_exception = pattern.startswith("!")
        if is_exception == found and _expression(pattern.removeprefix("!")).fullmatch(path):
            found = not is_exception
    return found


def _expression(pattern: str) -> re.Pattern[str]:
    bare = pattern.strip("/").removeprefix("./")
    return re.compile("".join(_meant(part) for part in _PART.findall(bare)) + "(?:/.*)?", re.DOTALL)


def _meant(part: str) -> str:
    if part.startswith("[") and len(part) > 1:
        return part.replace("\\", "\\\\") if part[1] != "^" else f"[^{part[2:]}".replace("\\", "\\\\")
    return _MEANT.get(part) or re.escape(part[1:] if part.startswith("\\") and len(part) > 1 else part)
