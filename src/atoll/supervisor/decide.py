"""What the supervisor does next, and what each process waits for."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from atoll.engines import collector
from atoll.supervisor.state import Known, Preparation, Process

GATEWAY = "envoy"
START_LIMIT = 60.0
SILENCE_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Start:
    """Start the process; as a successor beside the one that serves."""

    name: str
    successor: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask the process to end, with its grace period. again: it is started again afterwards."""

    name: str
    pid: int
    reason: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Prepare:
    """Run migrations, and make databases, roles, streams and consumers, of these services."""

    services: tuple[str, ...]


Action: TypeAlias = Start | Stop | Prepare


@dataclass(frozen=True, slots=True)
class Decision:
    """waiting: why a process is not started yet, in words. look_again: when time alone changes the decision."""

    actions: tuple[Action, ...] = ()
    waiting: dict[str, str] = field(default_factory=dict)
    look_again: float = inf
    finished: bool = False


def decide(known: Known, now: float) -> Decision:
    """What the supervisor does next. Touches nothing.

    now: seconds of the same monotonic clock as the times in `known`.
    """
    if known.stopping:
        return _wind_down(known)
    found: list[Start | Stop] = []
    waiting: dict[str, str] = {}
    look_again = inf
    for process in known.processes.values():
        more, why, when = _next(known, process, now)
        found += more
        look_again = min(look_again, when)
        if why:
            waiting[process.name] = why
    # What is told to end at this moment serves nobody who would begin at it.
    ending = {each.name for each in found if isinstance(each, Stop)}
    actions = [each for each in found if isinstance(each, Stop) or ending.isdisjoint(known.processes[each.name].needs)]
    prepared: list[str] = []
    for preparation in known.preparations.values():
        if preparation.state != "wanted" or _missing(known, preparation.needs) or ending & set(preparation.needs):
            continue
        if now < preparation.retry_at:
            look_again = min(look_again, preparation.retry_at)
        else:
            prepared.append(preparation.service)
    return Decision((*([Prepare(tuple(prepared))] if prepared else []), *actions), waiting, look_again)


def _next(known: Known, process: Process, now: float) -> tuple[list[Start | Stop], str, float]:
    """For one process: what to do, what it waits for, when to look again."""
    if process.unwanted or process.left_out:
        return _end(process), "", inf
    match process.state:
        case "waiting" | "backing off":
            if process.state == "backing off" and now < process.retry_at:
                return [], f"starts again in {process.retry_at - now:.1f} s", process.retry_at
            why = _waits_for(known, process)
            return ([], why, inf) if why else ([Start(process.name)], "", inf)
        case "preparing":
            return [], "its database and streams are being prepared", inf
        case "starting" | "ready" | "unhealthy":
            return _running(known, process, now)
        case _:
            return [], "", inf


def _running(known: Known, process: Process, now: float) -> tuple[list[Start | Stop], str, float]:
    if process.successor:
        return _succession(known, process, now)
    if process.state == "starting":
        limit = process.since + START_LIMIT
        if now < limit or not process.pid:
            return [], "", limit if now < limit else inf
        return [Stop(process.name, process.pid, f"not ready after {START_LIMIT:.0f} s", again=True)], "", inf
    if process.silent_since is not None:
        limit = process.silent_since + SILENCE_LIMIT
        if now < limit:
            return [], "", limit
        return [Stop(process.name, process.pid, f"{process.reason} for {SILENCE_LIMIT:.0f} s", again=True)], "", inf
    return [], "", inf


def _succession(known: Known, process: Process, now: float) -> tuple[list[Start | Stop], str, float]:
    """The changed code takes over: beside the old process where both can listen, one after the other elsewhere."""
    match process.successor:
        case "outdated":
            return ([Stop(process.name, process.successor_pid)] if process.successor_pid else []), "", inf
        case "wanted":
            if process.successor_pid:
                return [], "", inf
            if process.state == "starting" and not process.pid:
                return [], "", inf
            if not process.replaceable or process.state == "starting":
                return [Stop(process.name, process.pid, process.reason, again=True)], "", inf
            why = _waits_for(known, process)
            return ([], why, inf) if why else ([Start(process.name, successor=True)], "", inf)
        case "starting":
            limit = process.successor_since + START_LIMIT
            if now < limit or not process.successor_pid:
                return [], "", limit if now < limit else inf
            return [Stop(process.name, process.successor_pid, f"not ready after {START_LIMIT:.0f} s")], "", inf
        case _:
            return [Stop(process.name, process.pid, process.reason, again=True)], "", inf


def _waits_for(known: Known, process: Process) -> str:
    missing = _missing(known, process.needs)
    if missing:
        return ", ".join(f"{name} ({known.processes[name].state})" for name in missing)
    return _unprepared(known, process.service)


def _unprepared(known: Known, service: str) -> str:
    preparation: Preparation | None = known.preparations.get(service)
    if preparation is None or preparation.state == "done":
        return ""
    return preparation.reason or "its database and streams"


def _missing(known: Known, needs: Iterable[str]) -> list[str]:
    return [name for name in needs if not known.processes[name].serves]


def _wind_down(known: Known) -> Decision:
    """Services first, for they need the gateway to answer and the engines to finish; then the gateway, then engines.

    The collector is the last, for all of them have something to say to their end.
    """
    everything = list(known.processes.values())
    services = [each for each in everything if each.kind == "service"]
    gateway = [each for each in everything if each.name == GATEWAY]
    last = [each for each in everything if each.name == collector.NAME]
    engines = [each for each in everything if each.kind == "engine" and each.name not in (GATEWAY, collector.NAME)]
    for group in (services, gateway, engines, last):
        alive = [each for each in group if each.runs or each.has_successor or each.successor_pid]
        if alive:
            return Decision(
                tuple(action for each in alive for action in _end(each)),
                waiting={each.name: "its last requests" for each in alive},
            )
    return Decision(finished=True)


def _end(process: Process) -> list[Start | Stop]:
    stops: list[Start | Stop] = []
    # Without a number it is just being started: then it is stopped when it has one.
    if process.state in ("starting", "ready", "unhealthy") and process.pid:
        stops.append(Stop(process.name, process.pid))
    if process.has_successor and process.successor_pid:
        stops.append(Stop(process.name, process.successor_pid))
    return stops
