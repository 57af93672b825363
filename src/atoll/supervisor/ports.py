"""Ports of this machine: the declared ones if they are free, others chosen once and kept."""

import itertools
import socket
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from atoll.errors import NO_FREE_PORT, AtollError, Problem
from atoll.supervisor.plan import HOST, PortWish

# Below those that Linux (from 32768) and macOS (from 49152) give to clients, which could take one at any time.
FIRST = 20_000
LAST = 32_000


class Holding:
    """Ports that a run has chosen, and no other run of this machine chooses: also before anybody listens there.

    On Linux by a socket of its name for each port, which ends with the process at the latest; elsewhere two runs that
    start at once may still choose the same.
    """

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def take(self, port: int) -> bool:
        """Whether it is free, and ours from now on."""
        if not is_free(port):
            return False
        if port in self._sockets or not sys.platform.startswith("linux"):
            return True
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0atoll-port-{port}")
        except OSError:
            mark.close()
            return False
        self._sockets[port] = mark
        return True

    def release(self) -> None:
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()


def choose_ports(wishes: Iterable[PortWish], folder: Path, ours: Mapping[str, int], holding: Holding) -> dict[str, int]:
    """A port for each wish: the wanted one, or the same as the last time if it is free, or any that is.

    folder: keeps the choice in ports.json, so that addresses stay from run to run.
    ours: ports that this run listens on already. holding: of this run.
    Raises NO_FREE_PORT for every declared port that is taken.
    """
    file = folder / "ports.json"
    kept = _read(file)
    chosen: dict[str, int] = {}
    problems: list[Problem] = []
    wishes = list(wishes)
    declared = {wish.wanted for wish in wishes if wish.wanted}
    for wish in wishes:
        mine = ours.get(wish.name, 0)
        if mine and wish.wanted in (0, mine):
            chosen[wish.name] = mine
        elif wish.wanted and wish.wanted not in chosen.values() and holding.take(wish.wanted):
            chosen[wish.name] = wish.wanted
        elif wish.wanted:
            problems.append(NO_FREE_PORT.at(port=wish.wanted, what=wish.name, option=wish.option))
        else:
            taken = (
                declared
                | set(chosen.values())
                | set(ours.values())
                | {port for name, port in kept.items() if name != wish.name}
            )
            first = [wish.preferred] if wish.preferred and wish.preferred not in declared | set(chosen.values()) else []
            candidates = itertools.chain(first, _candidates(wish.name, folder, kept, taken))
            chosen[wish.name] = next(port for port in candidates if holding.take(port))
    if problems:
        raise AtollError(*problems)
    # What is not needed this time may be needed the next time, with --replicas.
    file.write_bytes(msgspec.json.encode({**kept, **chosen}))
    return chosen


def is_free(port: int) -> bool:
    """Whether one could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        # Connections of an earlier run that still linger are no obstacle.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
            attempt.listen()
        except OSError:
            return False
        return True


def _candidates(name: str, folder: Path, kept: Mapping[str, int], taken: set[int]) -> Iterator[int]:
    """Each folder has a place of its own to begin at, so that two systems seldom meet."""
    if name in kept:
        yield kept[name]
    begin = zlib.crc32(f"{folder.resolve()} {name}".encode())
    for step in range(LAST - FIRST):
        port = FIRST + (begin + step) % (LAST - FIRST)
        if port not in taken:
            yield port
    raise NO_FREE_PORT.error(port=f"{FIRST} to {LAST}", what=name, option="fewer replicas")


def _read(file: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        return {}
