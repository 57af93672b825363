"""Every alert of a system: what its services promise, and what goes wrong whatever they promise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from atoll.engines.declared import uses_broker
from atoll.engines.observed import Observed
from atoll.engines.service_levels import Rule, burn_alerts, levels, recordings

FIGURES = "figures"
"""The job that tells of engines, and on one machine of processes; no member can be called so in a cluster."""
GATEWAY = "gateway"

MOST_LAG = 1_000
"""Events that may wait for a consumer."""
MOST_BACKLOG = 0.5
"""The share of what a topic keeps that may wait for a consumer."""


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
        labels = {"severity": self.severity, "system": observed.system, **observed.labels}
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
    found = [level for member in observed.measured() for level in levels(observed, member)]
    groups: list[dict[str, object]] = []
    for level in found:
        rules = [*recordings(level, observed), *burn_alerts(level, observed)]
        groups.append({"name": f"{level.job} {level.slo}", "rules": rules})
    groups.append({"name": f"{observed.system} alerts", "rules": [each.rule(observed) for each in alerts(observed)]})
    return {"groups": groups}


def alerts(observed: Observed) -> Iterator[Alert]:
    """Those that need no promise."""
    down = [member.name for member in observed.measured()]
    for name in [*down, *([GATEWAY] if observed.description.gateway else [])]:
        yield _down(observed, name)
    for engine in observed.engines:
        yield _engine_down(observed, engine)
    if observed.engines and observed.cluster:
        yield _figures_down(observed)
    yield _crash_loop(observed)
    if any(member.calls for member in observed.description.members):
        yield _breaker_open(observed)
    if any(uses_broker(member) for member in observed.description.members):
        yield from _events(observed)
        yield from _losses(observed)


def _down(observed: Observed, name: str) -> Alert:
    return Alert(
        "ServiceDown",
        "page",
        _silent(observed, name),
        f"{name} is down: no process of it answers",
        f"See {observed.status}.",
        lasts=60,
        service=name,
    )


def _silent(observed: Observed, name: str) -> str:
    """That no process answers."""
    up = f"up{{{observed.job(name)}}}"
    # Without pods there is nothing to be asked. On one machine a process is asked from when it served first.
    return f"sum({up}) == 0 or absent({up})" if observed.cluster else f"sum({up}) == 0"


def _engine_down(observed: Observed, engine: str) -> Alert:
    name = "postgresql" if engine == "postgres" else engine
    return Alert(
        "EngineDown",
        "page",
        f"min({name}_up{{{observed.job(FIGURES)}}}) == 0",
        f"{engine} does not answer",
        f"Whatever keeps its data there fails. See {observed.status}.",
        lasts=60,
        service=engine,
    )


def _figures_down(observed: Observed) -> Alert:
    """On one machine the supervisor tells the figures: it does not die alone."""
    return Alert(
        "FiguresDown",
        "ticket",
        _silent(observed, FIGURES),
        f"{FIGURES} is down: nobody would be told that {' or '.join(observed.engines)} does not answer",
        f"See {observed.status}.",
        lasts=300,
        service=FIGURES,
    )


def _crash_loop(observed: Observed) -> Alert:
    window = observed.pace.window(900)
    crashes = f"increase(atoll_process_crashes_total{{{observed.job(FIGURES)}}}[{window}]) > 2"
    who = "$labels.process"
    if observed.cluster:
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
        f"Its last words: {observed.last_words}.",
    )


def _breaker_open(observed: Observed) -> Alert:
    worst = f"max_over_time(atoll_client_breaker{{{observed.all_jobs}}}[{observed.pace.held(60)}])"
    return Alert(
        "BreakerOpen",
        "ticket",
        # Half-open counts: of a slow destination there is always a call that tries.
        f"max by (job, destination) ({worst}) > 0",
        "{{ $labels.job }} has given up calling {{ $labels.destination }}: its breaker is open",
        f"See {observed.status}.",
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
        f"It is slower than what is published, or fails. See {observed.logs()}.",
        lasts=600,
    )
    yield Alert(
        "DeadLetters",
        "ticket",
        f"sum by ({who}) (increase(messaging_dead_letters_total{{{jobs}}}[{observed.pace.window(900)}])) > 0",
        f"{consumer} has given up events of {topic}",
        observed.dead_letters,
    )
    oldest = max(observed.pace.seconds(300), 10.0)
    yield Alert(
        "OutboxStuck",
        "ticket",
        f"max by (job) (messaging_outbox_oldest_seconds{{{jobs}}}) > {oldest:g}",
        "{{ $labels.job }} has events in its outbox that are not published",
        f"The broker does not take them. See {observed.status}.",
        lasts=60,
    )


def _losses(observed: Observed) -> Iterator[Alert]:
    """Of events that a consumer will not have, or soon would not; both wake somebody, for nothing brings them back."""
    keep = "let the topic keep more (kept_bytes, kept_seconds)"
    if "nats" in observed.engines:
        yield Alert(
            "EventsAtRisk",
            "page",
            f"max by (stream, consumer) (nats_consumer_backlog_ratio{{{observed.job(FIGURES)}}}) > {MOST_BACKLOG:g}",
            "{{ $value | humanizePercentage }} of what {{ $labels.stream }} may keep waits for {{ $labels.consumer }}",
            f"At 100% the oldest go, and it never has them. Bring it back, or {keep}. See {observed.status}.",
            lasts=300,
        )
    who = "job, messaging_destination_name, messaging_consumer_group_name"
    window = observed.pace.window(900)
    missed = f"messaging_consumer_missed_total{{{observed.all_jobs}}}"
    yield Alert(
        "EventsLost",
        "page",
        # A process that has just come back begins with all that it missed: that is no increase of anything.
        f"max by ({who}) (increase({missed}[{window}])) > 0 or "
        f"max by ({who}) ({missed} unless {missed} offset {window}) > 0",
        "events of {{ $labels.messaging_destination_name }} were dropped before "
        "{{ $labels.messaging_consumer_group_name }} had them",
        f"Its log says how many: {observed.logs()}. To lose no more, {keep}.",
    )
