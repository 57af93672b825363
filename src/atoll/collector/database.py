"""The store's file, opened to write or to read."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from atoll.collector.figures import together

FILE = "telemetry.sqlite"
VERSION = 3
_SCHEMA = Path(__file__).with_name("schema.sql")
_CACHE_KIB = 65_536
_MAPPED = 2**30
_BUSY = 5.0


def open_to_write(path: Path) -> sqlite3.Connection:
    """The one connection that writes; a store of another version, or one that is no store, is put aside.

    What is committed outlives the process; a machine that loses power may take the last commits with it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _open(path)
    except sqlite3.DatabaseError:
        path.replace(path.with_name(path.name + ".unreadable"))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY)
    try:
        version: int = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError(f"the store has version {version}")
        for pragma in ("page_size = 8192", "journal_mode = WAL", "synchronous = NORMAL", f"cache_size = -{_CACHE_KIB}"):
            database.execute(f"PRAGMA {pragma}")
        database.create_function("together", 2, together, deterministic=True)
        database.executescript(_SCHEMA.read_text())
        database.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of the block's own: what it sees does not change, and it can change nothing."""
    database = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=_BUSY)
    try:
        database.execute("PRAGMA query_only = 1")
        database.execute(f"PRAGMA mmap_size = {_MAPPED}")
        database.execute("BEGIN")
        yield database
    finally:
        database.close()
