"""What is known of the processes of a system, and how each observation changes it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, assert_never

State = Literal[
    "waiting", "preparing", "starting", "ready", "unhealthy", "stopping", "backing off", "stopped", "left out"
]
Kind = Literal["engine", "service"]
Successor = Literal["", "wanted", "starting", "ready", "outdated"]

FIRST_DELAY = 0.2
LONGEST_DELAY = 10.0
STABLE = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """One process that the system should have. Times are seconds of one monotonic clock.

    service: the member it is a replica of; of an engine its own name.
    needs: engines that must be ready before it starts.
    replaceable: a successor may start while it still serves, because both can listen on the same port.
    since: when it came into its state. reason: why it is there, in words.
    failures: ends in a row that nobody asked for, without having been ready for STABLE seconds in between.
    crashes: how often it ended although nobody asked. restarts: how often it was started again.
    retry_at: when it may start again, while backing off.
    silent_since: when it ceased to answer at all; None while it answers.
    again: start it again once it has stopped. unwanted: it is no longer part of the system.
    left_out: why it can't run here any more, of one that is still to end.
    successor: of the process that shall take its place, with code that has changed; "outdated" if the code changed
    once more since it was started.
    """

    name: str
    kind: Kind
    service: str
    needs: tuple[str, ...] = ()
    replaceable: bool = False
    state: State = "waiting"
    since: float = 0.0
    reason: str = ""
    pid: int = 0
    failures: int = 0
    crashes: int = 0
    restarts: int = 0
    retry_at: float = 0.0
    silent_since: float | None = None
    again: bool = False
    unwanted: bool = False
    left_out: str = ""
    successor: Successor = ""
    successor_pid: int = 0
    successor_since: float = 0.0

    @property
    def serves(self) -> bool:
        return self.state in ("ready", "unhealthy")

    @property
    def runs(self) -> bool:
        """Whether there is a process that has to end before the system is stopped."""
        return self.state in ("starting", "ready", "unhealthy", "stopping")

    @property
    def is_there(self) -> bool:
        """Whether anything of it runs."""
        return self.runs or bool(self.successor_pid)

    @property
    def has_successor(self) -> bool:
        """Whether there is a successor, perhaps still without a number, that nobody has asked to end yet."""
        return self.successor in ("starting", "ready", "outdated")


@dataclass(frozen=True, slots=True)
class Preparation:
    """Migrations, tables, streams and consumers of one service; done before any of its processes starts.

    state: "outdated" runs, and will have to run again. unwanted: it runs for a service that is no longer declared.
    """

    service: str
    needs: tuple[str, ...] = ()
    state: Literal["wanted", "running", "outdated", "done"] = "wanted"
    failures: int = 0
    retry_at: float = 0.0
    reason: str = ""
    unwanted: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that is known, by name of process and of service."""

    processes: Mapping[str, Process] = field(default_factory=dict)
    preparations: Mapping[str, Preparation] = field(default_factory=dict)
    stopping: bool = False

    def of(self, service: str) -> tuple[Process, ...]:
        return tuple(each for each in self.processes.values() if each.service == service)


@dataclass(frozen=True, slots=True)
class Planned:
    """What the system consists of from now on; what is known of processes that stay is kept."""

    processes: tuple[Process, ...]
    preparations: tuple[Preparation, ...]


@dataclass(frozen=True, slots=True)
class StartBegan:
    """A process is being started. successor: it is to take the place of the one that serves."""

    name: str
    successor: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """A process runs."""

    name: str
    pid: int
    successor: bool = False


@dataclass(frozen=True, slots=True)
class BecameReady:
    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class BecameUnhealthy:
    """It says that it is not ready, or (silent) says nothing to anybody new; while it starts, what it waits for."""

    name: str
    pid: int
    reason: str
    silent: bool = False


@dataclass(frozen=True, slots=True)
class StopAsked:
    """It was asked to end. again: to be started again."""

    name: str
    pid: int
    reason: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A process is gone. pid 0: it, or (successor) its successor, could not even be started."""

    name: str
    pid: int
    reason: str
    successor: bool = False


@dataclass(frozen=True, slots=True)
class PreparationBegan:
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparationEnded:
    """reason: why it failed, "" if it did not."""

    service: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """Code or declaration of services changed: replace their processes. prepare: those to be prepared anew."""

    services: frozenset[str]
    reason: str
    prepare: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SystemStops:
    """Everything is to end."""


Observation: TypeAlias = (
    Planned
    | StartBegan
    | Started
    | BecameReady
    | BecameUnhealthy
    | StopAsked
    | Ended
    | PreparationBegan
    | PreparationEnded
    | Changed
    | SystemStops
)


def after(known: Known, seen: Observation, now: float) -> Known:
    """What is known after the observation. Observations of processes that are gone change nothing."""
    match seen:
        case SystemStops():
            return replace(known, stopping=True)
        case Planned():
            return _planned(known, seen, now)
        case PreparationBegan(services):
            return _preparation_began(known, services, now)
        case PreparationEnded(service, reason):
            return _preparation_ended(known, service, reason, now)
        case Changed():
            return _changed(known, seen, now)
        case StartBegan() | Started() | BecameReady() | BecameUnhealthy() | StopAsked() | Ended():
            process = known.processes.get(seen.name)
            return known if process is None else _with(known, [_one(process, seen, now)])
        case _:
            assert_never(seen)


def delay(failures: int) -> float:
    """Seconds until the next try after so many failures in a row."""
    return min(FIRST_DELAY * 2.0 ** min(max(failures - 1, 0), 20), LONGEST_DELAY)


def _with(known: Known, processes: Iterable[Process]) -> Known:
    return replace(known, processes={**known.processes, **{each.name: each for each in processes}})


def _planned(known: Known, seen: Planned, now: float) -> Known:
    processes = {new.name: _planned_anew(known.processes.get(new.name), new, now) for new in seen.processes}
    for name, old in known.processes.items():
        if name not in processes and old.is_there:
            processes[name] = replace(old, unwanted=True)
    preparations = {new.service: _prepared_anew(known.preparations.get(new.service), new) for new in seen.preparations}
    for service, running in known.preparations.items():
        if service not in preparations and running.state in ("running", "outdated"):
            preparations[service] = replace(running, unwanted=True)
    return replace(known, processes=processes, preparations=preparations)


def _planned_anew(old: Process | None, new: Process, now: float) -> Process:
    if old is None or ("left out" in (old.state, new.state) and not old.is_there):
        return new
    if new.state == "left out":
        return replace(old, left_out=new.reason)
    kept = replace(old, needs=new.needs, replaceable=new.replaceable, unwanted=False, left_out="")
    # What was about to end for good is started again: nothing else would do that.
    return _to_replace(kept, "it is declared again", now) if old.unwanted or old.left_out else kept


def _prepared_anew(old: Preparation | None, new: Preparation) -> Preparation:
    if old is None:
        return new
    return replace(old, needs=new.needs, unwanted=False, state="outdated" if old.unwanted else old.state)


_OfOne: TypeAlias = StartBegan | Started | BecameReady | BecameUnhealthy | StopAsked | Ended


def _one(process: Process, seen: _OfOne, now: float) -> Process:
    match seen:
        case StartBegan(_, successor):
            return _start_began(process, now, successor=successor)
        case Started(_, pid, successor):
            # The old one may have ended meanwhile: then it is no successor any more.
            is_beside = successor and process.has_successor
            return replace(process, successor_pid=pid) if is_beside else replace(process, pid=pid)
        case BecameReady(_, pid):
            return _became_ready(process, pid, now)
        case BecameUnhealthy():
            return _became_unhealthy(process, seen, now)
        case StopAsked():
            return _stop_asked(process, seen, now)
        case Ended():
            return _ended(process, seen, now)
        case _:
            assert_never(seen)


def _start_began(process: Process, now: float, *, successor: bool) -> Process:
    if successor:
        return replace(process, successor="starting", successor_pid=0, successor_since=now)
    # Why it ended the last time stays visible until it is ready.
    return replace(process, state="starting", since=now, pid=0, silent_since=None, again=False)


def _became_ready(process: Process, pid: int, now: float) -> Process:
    if process.successor == "starting" and pid == process.successor_pid:
        return replace(process, successor="ready")
    if pid != process.pid or process.state not in ("starting", "unhealthy"):
        return process
    return replace(process, state="ready", since=now, reason="", silent_since=None)


def _became_unhealthy(process: Process, seen: BecameUnhealthy, now: float) -> Process:
    if seen.pid != process.pid:
        return process
    if process.state == "starting":
        return replace(process, reason=seen.reason)
    if not process.serves:
        return process
    silent_since = (now if process.silent_since is None else process.silent_since) if seen.silent else None
    since = process.since if process.state == "unhealthy" else now
    return replace(process, state="unhealthy", since=since, reason=seen.reason, silent_since=silent_since)


def _stop_asked(process: Process, seen: StopAsked, now: float) -> Process:
    if seen.pid and seen.pid == process.successor_pid:
        if process.successor == "outdated":
            return replace(process, successor="wanted")
        return replace(process, successor="", reason=f"the changed code was {seen.reason}; the old one serves on")
    if seen.pid != process.pid or not process.runs:
        return process
    return replace(process, state="stopping", since=now, reason=seen.reason, again=seen.again or process.again)


def _ended(process: Process, seen: Ended, now: float) -> Process:
    # What could not even be started has no number; the old one may have ended while it was tried.
    if seen.pid == process.successor_pid if seen.pid else seen.successor and process.has_successor:
        return _successor_ended(process, seen)
    if seen.pid != process.pid:
        return process
    if not process.runs:
        return process
    if process.successor_pid or process.has_successor:
        return _succeeded(process, now)
    gone = replace(process, pid=0, since=now, silent_since=None, successor="")
    if process.left_out:
        return replace(gone, state="left out", reason=process.left_out, left_out="", again=False)
    if process.state == "stopping":
        if not process.again:
            return replace(gone, state="stopped", reason=seen.reason)
        return replace(gone, state="waiting", again=False, restarts=process.restarts + 1)
    was_stable = process.serves and now - process.since >= STABLE
    failures = 1 if was_stable else process.failures + 1
    return replace(
        gone,
        state="backing off",
        reason=seen.reason,
        failures=failures,
        crashes=process.crashes + 1,
        restarts=process.restarts + 1,
        retry_at=now + delay(failures),
    )


def _successor_ended(process: Process, seen: Ended) -> Process:
    match process.successor:
        case "":
            return replace(process, successor_pid=0)
        case "wanted" | "outdated":
            return replace(process, successor="wanted", successor_pid=0)
        case _:
            reason = f"the changed code did not start ({seen.reason}); the old one serves on"
            return replace(process, successor="", successor_pid=0, reason=reason)


def _succeeded(process: Process, now: float) -> Process:
    """The old process is gone, the new one takes its place: also one without a number yet, or one told to end."""
    state: State = "ready" if process.successor == "ready" else "starting" if process.has_successor else "stopping"
    return replace(
        process,
        state=state,
        since=process.successor_since if state == "starting" else now,
        pid=process.successor_pid,
        reason="",
        failures=0,
        restarts=process.restarts + 1,
        silent_since=None,
        again=state == "stopping",
        successor="wanted" if process.successor == "outdated" else "",
        successor_pid=0,
    )


def _preparation_began(known: Known, services: tuple[str, ...], now: float) -> Known:
    preparations = {name: replace(known.preparations[name], state="running") for name in services}
    waiting = [
        replace(each, state="preparing", since=now)
        for name in services
        for each in known.of(name)
        if each.state == "waiting"
    ]
    return _with(replace(known, preparations={**known.preparations, **preparations}), waiting)


def _preparation_ended(known: Known, service: str, reason: str, now: float) -> Known:
    was = known.preparations[service]
    if was.unwanted:
        return replace(known, preparations={name: each for name, each in known.preparations.items() if name != service})
    failures = was.failures + 1 if reason else 0
    preparation = replace(
        was,
        # What was asked for while it ran is still to be done.
        state="wanted" if reason or was.state == "outdated" else "done",
        reason=reason,
        failures=failures,
        retry_at=now + delay(failures) if reason else 0.0,
    )
    known = replace(known, preparations={**known.preparations, service: preparation})
    return _with(
        known, [replace(each, state="waiting", since=now) for each in known.of(service) if each.state == "preparing"]
    )


def _again(preparation: Preparation) -> Literal["wanted", "outdated"]:
    """Never two at a time of one service."""
    return "outdated" if preparation.state in ("running", "outdated") else "wanted"


def _changed(known: Known, seen: Changed, now: float) -> Known:
    preparations = {
        name: replace(preparation, state=_again(preparation), failures=0, retry_at=0.0, reason="")
        for name, preparation in known.preparations.items()
        if name in seen.prepare
    }
    known = replace(known, preparations={**known.preparations, **preparations})
    return _with(
        known,
        [_to_replace(each, seen.reason, now) for each in known.processes.values() if each.service in seen.services],
    )


def _to_replace(process: Process, reason: str, now: float) -> Process:
    if process.state == "backing off":
        # The change may be the correction: no reason to wait any longer.
        return replace(process, state="waiting", since=now, failures=0, retry_at=0.0)
    if process.state == "stopped":
        return replace(process, state="waiting", since=now, reason=reason)
    if process.state == "stopping":
        return replace(process, again=True)
    if process.state in ("starting", "ready", "unhealthy"):
        return replace(process, successor="outdated" if process.has_successor else "wanted", reason=reason)
    return process
