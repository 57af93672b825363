"""Migrations: how their files are named, and what must not change about them."""

import hashlib
import re
from collections.abc import Mapping

from atoll.errors import BAD_MIGRATION_NAME, MIGRATION_EDITED, Problem

NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


def checksum(content: bytes) -> str:
    """What is kept of a migration to notice an edit; line ends don't count, for git may change them."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def migration_problems(
    service: str, folder: str, files: Mapping[str, str], applied: Mapping[str, str]
) -> list[Problem]:
    """What is wrong with the files of one service.

    files: checksum by file name, of those that are there. applied: of those that were applied before.
    """
    problems: list[Problem] = []

    def wrong(file: str, reason: str) -> None:
        problems.append(BAD_MIGRATION_NAME.at(f"{folder}/{file}", service=service, file=file, reason=reason))

    numbered: dict[int, str] = {}
    for file in sorted(files):
        match = NAME.fullmatch(file)
        if match is None:
            wrong(file, "it is not like 0001_name.sql")
        elif (number := int(match[1])) in numbered:
            wrong(file, f"{numbered[number]} has its number")
        else:
            numbered[number] = file
    for expected, (number, file) in enumerate(sorted(numbered.items()), start=1):
        if number != expected:
            wrong(file, f"{expected:04} is missing before it")
            break
    for file, known in sorted(applied.items()):
        if file in files and files[file] != known:
            problems.append(MIGRATION_EDITED.at(f"{folder}/{file}", service=service, file=file))
        if file not in files:
            wrong(file, "it was applied before and is gone")
    return problems
