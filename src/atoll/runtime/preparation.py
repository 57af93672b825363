"""Waits until a database has what this version of a service needs; it changes nothing."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncpg

from atoll.model.launch import Preparation
from atoll.model.migrations import checksum
from atoll.model.references import Source

_LOOK_AGAIN = 0.5
_CONNECT_WITHIN = 5.0
_APPLIED = "SELECT file, checksum FROM atoll.migrations"
_IS_MADE = "SELECT to_regclass('atoll.migrations') IS NOT NULL"


async def wait_until_prepared(
    preparation: Preparation, resolve: Callable[[Source], str], say: Callable[[str], None]
) -> None:
    """Return once somebody has prepared it. say: told what is waited for, whenever that is something else."""
    if preparation.dsn is None:
        return
    dsn = resolve(preparation.dsn)
    wanted = _migrations(preparation.migrations)
    said = ""
    while missing := await _missing(dsn, wanted):
        if missing != said:
            say(f"{preparation.service} waits: {missing}")
            said = missing
        await asyncio.sleep(_LOOK_AGAIN)


def why_unprepared(wanted: Mapping[str, str], applied: Mapping[str, str]) -> str:
    """What a database still lacks, "" if nothing. Both are checksums by the file's name.

    What it has beyond that is a newer version's, beside which this one may still run.
    """
    for file, known in sorted(wanted.items()):
        if file not in applied:
            return f"its database lacks migration {file}"
        if applied[file] != known:
            return f"migration {file} was applied with another content"
    return ""


def _migrations(folder: str) -> dict[str, str]:
    return {each.name: checksum(each.read_bytes()) for each in Path(folder).glob("*.sql")} if folder else {}


async def _missing(dsn: str, wanted: Mapping[str, str]) -> str:
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_WITHIN, command_timeout=_CONNECT_WITHIN)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        return f"its database can't be reached: {_words(error)}"
    try:
        if not await connection.fetchval(_IS_MADE):
            return "its database has no tables yet"
        rows = await connection.fetch(_APPLIED)
        return why_unprepared(wanted, {row["file"]: row["checksum"] for row in rows})
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"its database can't be read: {_words(error)}"
    finally:
        connection.terminate()


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
