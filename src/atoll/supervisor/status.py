"""What a run looks like from outside: one value for the table, `atoll status` and `--json`."""

from collections.abc import Mapping

import msgspec

from atoll.engines import alertmanager, collector, prometheus
from atoll.engines.alerts import FIGURES
from atoll.errors import NO_SUCH_PROCESS
from atoll.model.suggest import nearest
from atoll.supervisor.decide import Decision
from atoll.supervisor.plan import DASHBOARD, HOST, Plan
from atoll.supervisor.state import Known, Process, State
from atoll.wire.description import ProblemData

WATCHING = (prometheus.NAME, alertmanager.NAME)


class ProcessStatus(msgspec.Struct, frozen=True):
    """A row of the table.

    waits_for: why it is not started yet. reason: why it is in this state, or why it ended the last time.
    port, admin: 0 where it has none. seconds: since it came into this state.
    fault: what it does wrong because `atoll fault` asked for it.
    breakers: of its calls, those that are not closed, by destination; only where somebody asked the process for them.
    """

    name: str
    service: str
    kind: str
    state: State
    waits_for: str = ""
    reason: str = ""
    port: int = 0
    admin: int = 0
    pid: int = 0
    crashes: int = 0
    restarts: int = 0
    seconds: float = 0.0
    fault: str = ""
    breakers: dict[str, str] = {}


class Status(msgspec.Struct, frozen=True):
    """A system that runs.

    url: of the gateway, "" if there is none. addresses: of services, and of engines wherever they are.
    ready: everything that is not left out serves. seconds_to_ready: from the start; None until then.
    watching: URLs of dashboard and page of figures, and of Prometheus and Alertmanager where they watch, by name.
    problems: of changed code that is not used, because it has them.
    """

    system: str
    pid: int
    folder: str
    state: str
    target: str
    url: str
    ready: bool
    seconds_to_ready: float | None
    addresses: dict[str, tuple[str, ...]]
    processes: tuple[ProcessStatus, ...]
    problems: tuple[ProblemData, ...] = ()
    watching: dict[str, str] = {}

    @property
    def dashboard(self) -> str:
        """Its URL, without the token that may be asked for."""
        return self.watching.get(DASHBOARD, "")

    def process(self, name: str) -> ProcessStatus | None:
        return next((each for each in self.processes if each.name == name), None)


def is_ready(known: Known) -> bool:
    """Whether everything that should serve does; no service waits for the collector."""
    needed = [each for each in known.processes.values() if not each.unwanted and each.name != collector.NAME]
    return all(each.state in ("ready", "left out") for each in needed)


def serving(known: Known, ports: Mapping[int, int]) -> dict[str, int]:
    """The services' processes that can be asked, with the port that answers for the health of each.

    ports: of the processes that run, by id. A successor that is ready takes its predecessor's place.
    """
    pids = {
        each.name: each.successor_pid if each.successor == "ready" else each.pid if each.serves else 0
        for each in known.processes.values()
        if each.kind == "service"
    }
    return {name: ports[pid] for name, pid in pids.items() if pid in ports}


def process_called(name: str) -> str:
    """The map, traces and declarations call Envoy by what it is there for: gateway → envoy. Any other is as it is."""
    return "envoy" if name == "gateway" else name


def named(known: Known, name: str) -> tuple[Process, ...]:
    """The process of this name, or those of the service. Raises NO_SUCH_PROCESS."""
    every = known.processes.values()
    for wanted in (name, process_called(name)):
        if found := tuple(each for each in every if wanted in (each.name, each.service)):
            return found
    raise NO_SUCH_PROCESS.error(has=nearest(name, {each.service for each in every}), name=name)


def rows(
    known: Known,
    plan: Plan,
    decision: Decision,
    admins: Mapping[str, int],
    faults: Mapping[str, str],
    now: float,
) -> tuple[ProcessStatus, ...]:
    """Engines first, then services as declared. faults: in words, by process."""
    return tuple(
        msgspec.structs.replace(
            _row(each, plan, decision, admins.get(each.name, 0), now), fault=faults.get(each.name, "")
        )
        for each in known.processes.values()
        if each.runs or not each.unwanted
    )


def _row(process: Process, plan: Plan, decision: Decision, admin: int, now: float) -> ProcessStatus:
    port = {"envoy": plan.gateway_port}.get(process.name) or plan.ports.get(process.name, 0)
    return ProcessStatus(
        name=process.name,
        service=process.service,
        kind=process.kind,
        state=process.state,
        waits_for=decision.waiting.get(process.name, ""),
        reason=process.reason,
        port=port,
        admin=0 if admin == port else admin,
        pid=process.pid,
        crashes=process.crashes,
        restarts=process.restarts,
        seconds=round(max(now - process.since, 0.0), 1),
    )


def addresses(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Where each service and engine can be asked, by name."""
    found: dict[str, tuple[str, ...]] = {}
    for each in plan.processes:
        found[each.service] = (*found.get(each.service, ()), f"http://127.0.0.1:{each.port}")
    for member in plan.description.members:
        if member.kind == "external":
            found[member.name] = (member.url,)
    return found


def watching(plan: Plan) -> dict[str, str]:
    """Where the dashboard, figures and alerts are."""
    pages = plan.collection.dashboard
    found = {DASHBOARD: f"http://{pages.listen}"} if pages else {}
    found |= {name: f"http://{HOST}:{plan.ports[name]}" for name in WATCHING if name in plan.engines}
    return {FIGURES: f"http://{HOST}:{plan.ports[FIGURES]}/metrics", **found}


def news(before: Known, now: Known) -> list[str]:
    """What happened to processes that a person wants to read, a line each."""
    lines: list[str] = []
    for name, process in now.processes.items():
        was = before.processes.get(name)
        if was is None or (was.state, was.restarts, was.reason) == (process.state, process.restarts, process.reason):
            continue
        line = _news(was, process)
        if line:
            lines.append(f"{name} {line}")
    return lines


def _news(was: Process, process: Process) -> str:
    if process.state == "backing off" and was.state != "backing off":
        return f"ended: {process.reason}; starts again in {process.retry_at - process.since:.1f} s"
    if process.state == "unhealthy" and was.state == "ready":
        return f"is unhealthy: {process.reason}"
    if process.state == "ready" and (was.state == "unhealthy" or process.restarts):
        return "is ready again" if was.state != "ready" else "runs the changed code"
    if process.state == "ready" and process.reason and process.reason != was.reason and not process.successor:
        return process.reason
    return ""
