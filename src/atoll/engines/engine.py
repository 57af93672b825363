"""The values that describe any engine: what is written, what is run, and when it is ready."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class User:
    """An account of the operating system that a process runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """How one process is run, and how it is asked to stop.

    arguments: the program, as an absolute path, and what follows it.
    environment: all of it; nothing is inherited, so that a PGPORT or HTTP_PROXY of the shell changes nothing.
    directory: where it runs; None is the current directory.
    user: None is the user who started us.
    stop_signal: its name, what asks the process to end.
    end_signal: what it gets when whoever started it dies, even by SIGKILL (Linux).
    grace: seconds from `stop_signal` to SIGKILL.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: PurePath | None = None
    user: User | None = None
    stop_signal: str = "SIGTERM"
    end_signal: str = "SIGTERM"
    grace: float = 10.0


@dataclass(frozen=True, slots=True)
class File:
    """A file an engine reads. mode: its permissions."""

    path: PurePath
    content: str
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class TcpPort:
    """Ready when a connection is accepted."""

    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Ready when GET `path` is answered with 200, at a port or, if `socket` is given, at a Unix socket."""

    path: str
    port: int = 0
    host: str = "127.0.0.1"
    socket: PurePath | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Ready when the command exits with 0; what it prints is the reason for waiting.

    lock: a file of the engine's whose last line is "stopping" from when it was told to end.
    """

    command: Command
    lock: PurePath | None = None


Readiness: TypeAlias = TcpPort | HttpGet | Check


@dataclass(frozen=True, slots=True)
class Engine:
    """All that is needed to start one engine whose data folder is prepared.

    files: written, in this order, before `command` is run.
    """

    name: str
    files: tuple[File, ...]
    command: Command
    readiness: Readiness
