"""A project's lock: the requirements with hashes that an image is filled from."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.markers import Marker, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from atoll.errors import BAD_LOCK, AtollError, Problem

_HASH = re.compile(r"\s--hash=(\S+)")
_COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True, slots=True)
class Locked:
    """One package, in exactly one version. hashes: "sha256:…", of any of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={each}" for each in self.hashes)])


def read_lock(text: str, place: str, python: str) -> tuple[Locked, ...]:
    """The packages that a Linux machine with this Python ("3.13") needs, by name.

    Raises AtollError BAD_LOCK for each line that names no version or no hash.
    """
    problems: list[Problem] = []
    found: dict[str, Locked] = {}
    for number, line in _lines(text):
        written, hashes = _HASH.split(line, maxsplit=1)[0].strip(), tuple(_HASH.findall(line))
        try:
            requirement = Requirement(written)
        except InvalidRequirement as error:
            problems.append(_problem(place, number, f"{written!r} is not a requirement: {error}"))
            continue
        if requirement.marker and not applies(requirement.marker, python):
            continue
        pins = [each.version for each in requirement.specifier if each.operator == "=="]
        if len(pins) != 1 or requirement.url:
            problems.append(_problem(place, number, f"{requirement.name} has no exact version"))
        elif not hashes:
            problems.append(_problem(place, number, f"{requirement.name} has no hash"))
        else:
            found[canonicalize_name(requirement.name)] = Locked(requirement.name, pins[0], hashes)
    if problems:
        raise AtollError(*problems)
    return tuple(found[name] for name in sorted(found))


def applies(marker: Marker, python: str) -> bool:
    """Whether a requirement with this marker is for CPython of this version on Linux."""
    environment: dict[str, str] = {
        **{name: str(value) for name, value in default_environment().items()},
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }
    return marker.evaluate(environment)


def _lines(text: str) -> Iterable[tuple[int, str]]:
    """What is required, each with the number of its first line; options of the installer are left out."""
    joined, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = _COMMENT.sub("", line).rstrip()
        begun = begun or number
        joined += bare.removesuffix("\\") + " "
        if bare.endswith("\\"):
            continue
        if joined.strip() and not joined.strip().startswith("-"):
            yield begun, joined.strip()
        joined, begun = "", 0


def _problem(place: str, line: int, reason: str) -> Problem:
    do = "make it again with hashes: uv pip compile --generate-hashes, or pip-compile --generate-hashes"
    return BAD_LOCK.at(f"{place}:{line}", reason=reason, do=do)
