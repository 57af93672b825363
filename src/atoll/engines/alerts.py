"""Every alert of a system: what its services promise, and what goes wrong whatever they promise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from atoll.engines.declared import engines_of, uses_broker
from atoll.engines.pace import Pace
from atoll.engines.service_levels import Rule, burn_alerts, job_of, levels, recordings
from atoll.wire.description import Description, MemberData

FIGURES = "figures"
"""The job that tells of engines, and on one machine of processes; no member can be called so in a cluster."""
GATEWAY = "gateway"

MOST_LAG = 1_000
"""Events that may wait for a consumer."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A system as its Prometheus sees it. where: what starts its processes. namespace: of a cluster."""

    description: Description
    pace: Pace
    where: Literal["machine", "cluster"] = "machine"
    namespace: str = ""

    @property
    def system(self) -> str:
        return self.description.name

    @property
    def all_jobs(self) -> str:
        return f'job=~"{self.system}/.+"'

    def measured(self) -> Iterator[MemberData]:
        """The members that have figures of their own."""
        return (each for each in self.description.members if each.kind in ("service", "asgi"))


@dataclass(frozen=True, slots=True)
class Alert:
    """lasts: nominal seconds before it is told; None tells at once."""

    name: str
    severity: Literal["page", "ticket"]
    expr: str
    summary: str
    description: str
    lasts: float | None = None
    service: str = ""

    def rule(self, observed: Observed) -> Rule:
        labels = {"severity": self.severity, "system": observed.system}
        if self.service:
            labels["service"] = self.service
        return {
            "alert": self.name,
            "expr": self.expr,
            **({"for": observed.pace.held(self.lasts)} if self.lasts is not None else {}),
            "labels": labels,
            "annotations": {"summary": self.summary, "description": self.description},
        }


def rule_file(observed: Observed) -> dict[str, object]:
    """A file of rules as Prometheus reads it, and the spec of a PrometheusRule."""
    found = [level for member in observed.measured() for level in levels(observed.description, member)]
    groups: list[dict[str, object]] = []
    for level in found:
        rules = [*recordings(level, observed.pace), *burn_alerts(level, observed.pace)]
        groups.append({"name": f"{level.job} {level.slo}", "rules": rules})
    groups.append({"name": f"{observed.system} alerts", "rules": [each.rule(observed) for each in alerts(observed)]})
    return {"groups": groups}


def alerts(observed: Observed) -> Iterator[Alert]:
    """Those that need no promise."""
    down = [member.name for member in observed.measured()]
    for name in [*down, *([GATEWAY] if observed.description.gateway else [])]:
        yield _down(observed, name)
    for engine in engines_of(observed.description):
        if engine != "envoy":
            yield _engine_down(observed, engine)
    yield _crash_loop(observed)
    if any(member.calls for member in observed.description.members):
        yield _breaker_open(observed)
    if any(uses_broker(member) for member in observed.description.members):
        yield from _events(observed)


def _down(observed: Observed, name: str) -> Alert:
    job = job_of(observed.system, name)
    expr = f'sum(up{{job="{job}"}}) == 0'
    if observed.where == "cluster":
        # Without pods there is nothing to be asked. On one machine a process is asked from when it served first.
        expr += f' or absent(up{{job="{job}"}})'
    return Alert(
        "ServiceDown",
        "page",
        expr,
        f"{name} is down: no process of it answers",
        f"See {_status(observed, name)}.",
        lasts=60,
        service=name,
    )


def _engine_down(observed: Observed, engine: str) -> Alert:
    name = "postgresql" if engine == "postgres" else engine
    return Alert(
        "EngineDown",
        "page",
        f'min({name}_up{{job="{job_of(observed.system, FIGURES)}"}}) == 0',
        f"{engine} does not answer",
        f"Whatever keeps its data there fails. See {_status(observed, engine)}.",
        lasts=60,
        service=engine,
    )


def _crash_loop(observed: Observed) -> Alert:
    window = observed.pace.window(900)
    crashes = f'increase(atoll_process_crashes_total{{job="{job_of(observed.system, FIGURES)}"}}[{window}]) > 2'
    who = "$labels.process"
    if observed.where == "cluster":
        pods = f'kube_pod_container_status_restarts_total{{namespace="{observed.namespace}"}}'
        starts = f"process_start_time_seconds{{{observed.all_jobs}}}"
        # The first of them is there where kube-state-metrics is; both together would be told twice.
        crashes = f"increase({pods}[{window}]) > 2 or changes({starts}[{window}]) > 2"
        who = "or $labels.pod $labels.instance"
    return Alert(
        "CrashLoop",
        "ticket",
        crashes,
        f"{{{{ {who} }}}} ends again and again",
        f"Its last words: {_logs(observed)}.",
    )


def _breaker_open(observed: Observed) -> Alert:
    worst = f"max_over_time(atoll_client_breaker{{{observed.all_jobs}}}[{observed.pace.held(60)}])"
    return Alert(
        "BreakerOpen",
        "ticket",
        # Half-open counts: of a slow destination there is always a call that tries.
        f"max by (job, destination) ({worst}) > 0",
        "{{ $labels.job }} has given up calling {{ $labels.destination }}: its breaker is open",
        f"See {_status(observed, '{{ $labels.destination }}')}.",
        lasts=60,
    )


def _events(observed: Observed) -> Iterator[Alert]:
    who = "job, messaging_destination_name, messaging_consumer_group_name"
    topic, consumer = "{{ $labels.messaging_destination_name }}", "{{ $labels.messaging_consumer_group_name }}"
    jobs = observed.all_jobs
    yield Alert(
        "ConsumerLag",
        "ticket",
        f"max by ({who}) (messaging_consumer_lag{{{jobs}}}) > {MOST_LAG}",
        f"{{{{ $value }}}} events of {topic} wait for {consumer}",
        f"It is slower than what is published, or fails. See {_logs(observed)}.",
        lasts=600,
    )
    yield Alert(
        "DeadLetters",
        "ticket",
        f"sum by ({who}) (increase(messaging_dead_letters_total{{{jobs}}}[{observed.pace.window(900)}])) > 0",
        f"{consumer} has given up events of {topic}",
        "See `atoll events dead`; when the reason is gone, `atoll events redrive`.",
    )
    oldest = max(observed.pace.seconds(300), 10.0)
    yield Alert(
        "OutboxStuck",
        "ticket",
        f"max by (job) (messaging_outbox_oldest_seconds{{{jobs}}}) > {oldest:g}",
        "{{ $labels.job }} has events in its outbox that are not published",
        f"The broker does not take them. See {_status(observed, 'nats')}.",
        lasts=60,
    )


def _status(observed: Observed, name: str) -> str:
    return (
        f"`kubectl -n {observed.namespace} get pods -l app={name}`" if observed.where == "cluster" else "`atoll status`"
    )


def _logs(observed: Observed) -> str:
    return f"`kubectl -n {observed.namespace} logs`" if observed.where == "cluster" else "`atoll logs`"
