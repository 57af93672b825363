"""Tests of the rules of a system, for `promtool test rules`: each alert once with its reason, and once without."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from atoll.engines.alerts import FIGURES, GATEWAY, MOST_LAG, Alert, alerts
from atoll.engines.observed import Observed, job_of, matchers
from atoll.engines.pace import duration
from atoll.engines.service_levels import BURN, DURATION, LEAST, PERCENT, WINDOW, Level, burn_alerts, levels

Test = dict[str, object]
Series = dict[str, str]
"""The values of each series, as promtool writes them: "0+5x9" begins with 0 and adds 5 nine times."""

_STEPS = 30
"""Evaluations of one test."""
_MANY = 10**9
"""Requests between two evaluations: bad ones are a whole number of them, however small a budget."""


@dataclass(frozen=True, slots=True)
class _Case:
    """series: what is measured beside a system that is up. expected: of each alert's name what fires at the end."""

    name: str
    series: Series = field(default_factory=dict)
    expected: dict[str, list[Test]] = field(default_factory=dict)


def rule_tests(observed: Observed, rules: str) -> dict[str, object]:
    """The file of tests. rules: the name of the file of rules beside it."""
    step = duration(observed.pace.seconds(60.0))
    names = sorted({BURN, *(each.name for each in alerts(observed))})
    return {
        "rule_files": [rules],
        "evaluation_interval": step,
        "tests": [_test(observed, case, step, names) for case in _cases(observed)],
    }


def _test(observed: Observed, case: _Case, step: str, names: Sequence[str]) -> Test:
    others = [_healthy(other) for other in _elsewhere(observed)]
    measured = {
        series: values for each in (_healthy(observed), *others, case.series) for series, values in each.items()
    }
    end = duration(_STEPS * observed.pace.seconds(60.0))
    return {
        "name": case.name,
        "interval": step,
        "input_series": [{"series": series, "values": values} for series, values in measured.items()],
        "alert_rule_test": [
            {"eval_time": end, "alertname": name, "exp_alerts": case.expected.get(name, [])} for name in names
        ],
    }


def _cases(observed: Observed) -> Iterator[_Case]:
    yield _Case("nothing happens")
    found = _levels(observed)
    if found:
        yield from _of_levels(observed, found)
    for alert in alerts(observed):
        reason = _reason(observed, alert)
        fires: Test = {
            "exp_labels": _labels(alert, observed, reason.labels),
            "exp_annotations": {
                "summary": _filled(alert.summary, reason),
                "description": _filled(alert.description, reason),
            },
        }
        yield _Case(f"{alert.name} {alert.service}".rstrip(), reason.series, {alert.name: [fires]})
    for other in _elsewhere(observed):
        broken = _requests(dict.fromkeys(_levels(other), 1.0))
        reasons = [_reason(other, alert).series for alert in alerts(other)]
        series = {name: values for each in (broken, *reasons) for name, values in each.items()}
        yield _Case("nothing works in another namespace", series)


def _elsewhere(observed: Observed) -> list[Observed]:
    """The same system as another environment has it, beside which every test is made; none on one machine."""
    cluster = observed.cluster
    return [replace(observed, cluster=replace(cluster, namespace=f"{cluster.namespace}-too"))] if cluster else []


def _levels(observed: Observed) -> list[Level]:
    return [level for member in observed.measured() for level in levels(observed, member)]


# Service levels.


def _of_levels(observed: Observed, found: Sequence[Level]) -> Iterator[_Case]:
    kept, broken = dict.fromkeys(found, 0.0), dict.fromkeys(found, 1.0)
    # Of one digit, so that no two ways to count differ in how it is rounded.
    slowly = {level: min(float(f"{2 * level.budget:.1g}"), 1.0) for level in found}
    # Beside what is kept elsewhere, which must not be taken for it.
    others = _requests({level: 0.0 for other in _elsewhere(observed) for level in _levels(other)})
    yield _Case("every promise is kept", _requests(kept))
    yield _Case("no promise is kept", others | _requests(broken), _burning(observed, broken, ("page", "ticket")))
    burning = _burning(observed, slowly, ("ticket",))
    yield _Case("budgets go about twice as fast as they may", others | _requests(slowly), burning)
    few = _requests(dict.fromkeys(found, 0.5), 2 * (LEAST - 1), f"0x{_STEPS - 4} {{}}x10")
    yield _Case("a few bad requests wake nobody", few)


def _burning(observed: Observed, bad: Mapping[Level, float], severities: Sequence[str]) -> dict[str, list[Test]]:
    """What fires when of each level this share is bad."""
    expected: list[Test] = []
    for level, share in bad.items():
        for rule in burn_alerts(level, observed):
            labels, texts = rule["labels"], rule["annotations"]
            assert isinstance(labels, dict)
            assert isinstance(texts, dict)
            severity = labels["severity"]
            if severity in severities:
                first = next(
                    each for each in level.burns if each.severity == severity and each.factor * level.budget < share
                )
                told = {PERCENT: _percent(share), f"{{{{ $labels.{WINDOW} }}}}": observed.pace.window(first.long)}
                summary = texts["summary"]
                for template, value in told.items():
                    summary = summary.replace(template, value)
                annotations = {"summary": summary, "description": texts["description"]}
                alone = {"job": level.job, **{name: value for name, value in labels.items() if value}}
                expected.append({"exp_labels": alone, "exp_annotations": annotations})
    return {BURN: expected}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _requests(bad: Mapping[Level, float], many: int = _MANY, values: str = f"0+{{}}x{_STEPS}") -> Series:
    """Requests of each service of which these shares are bad.

    many: of each service. values: with a place for a number of them.
    """
    series: Series = {}
    for job, place in dict.fromkeys((level.job, tuple(level.place.items())) for level in bad):
        own = {level: share for level, share in bad.items() if (level.job, tuple(level.place.items())) == (job, place)}
        shares = {level.slo: share for level, share in own.items()}
        failed = round(many * shares.get("availability", 0.0))
        fast = round(many * (1.0 - shares.get("latency", 0.0)))
        served_fast = min(many - failed, fast)
        seconds = next((level.seconds for level in own if level.seconds), 0.0)
        for status, count, in_time in (("200", many - failed, served_fast), ("500", failed, fast - served_fast)):
            labels = {"job": job, **dict(place), "http_response_status_code": status}
            series[_series(f"{DURATION}_count", labels)] = values.format(count)
            if seconds:
                series[_series(f"{DURATION}_bucket", {**labels, "le": repr(seconds)})] = values.format(in_time)
    return series


# All other alerts.


@dataclass(frozen=True, slots=True)
class _Reason:
    """What makes an alert fire. labels: that it gets from the series. value: of its expression."""

    series: Series
    labels: dict[str, str] = field(default_factory=dict)
    value: str = ""


def _reason(observed: Observed, alert: Alert) -> _Reason:
    """Of each kind of alert; a new one needs a line here."""
    place = dict(observed.labels)
    job = job_of(observed.system, "a")
    consumer = {"messaging_destination_name": "t", "messaging_consumer_group_name": "c"}
    figures = {"job": job_of(observed.system, FIGURES), **place}
    steadily = f"0+1x{_STEPS}"
    match alert.name:
        case "ServiceDown" | "FiguresDown":
            return _Reason({_up(observed, alert.service): f"1x4 0x{_STEPS}"})
        case "EngineDown":
            name = "postgresql" if alert.service == "postgres" else alert.service
            return _Reason({_series(f"{name}_up", figures): f"1x4 0x{_STEPS}"})
        case "CrashLoop" if observed.cluster is None:
            ends = {**figures, "process": "a-1"}
            return _Reason({_series("atoll_process_crashes_total", ends): steadily}, ends)
        case "CrashLoop":
            pod = {**place, "pod": "a-1"}
            return _Reason({_series("kube_pod_container_status_restarts_total", pod): steadily}, pod)
        case "BreakerOpen":
            edge = {"job": job, "destination": "b"}
            return _Reason({_series("atoll_client_breaker", {**edge, **place}): f"0x4 2x{_STEPS}"}, edge)
        case "ConsumerLag":
            who = {"job": job, **consumer}
            waiting = MOST_LAG + 1
            lag = _series("messaging_consumer_lag", {**who, **place})
            return _Reason({lag: f"{waiting}x{_STEPS}"}, who, str(waiting))
        case "DeadLetters":
            who = {"job": job, **consumer}
            return _Reason({_series("messaging_dead_letters_total", {**who, **place}): f"0x{_STEPS - 2} 1x10"}, who)
        case "EventsAtRisk":
            who = {"stream": "s", "consumer": "c"}
            return _Reason({_series("nats_consumer_backlog_ratio", {**figures, **who}): f"0.75x{_STEPS}"}, who, "75%")
        case "EventsLost":
            who = {"job": job, **consumer}
            return _Reason({_series("messaging_consumer_missed_total", {**who, **place}): f"_x{_STEPS - 2} 36x10"}, who)
        case _:
            oldest = _series("messaging_outbox_oldest_seconds", {"job": job, **place})
            return _Reason({oldest: f"3600x{_STEPS}"}, {"job": job})


def _healthy(observed: Observed) -> Series:
    """Everything is up."""
    names = [member.name for member in observed.measured()]
    names += [GATEWAY] if observed.description.gateway else []
    names += [FIGURES] if observed.engines else []
    return {_up(observed, name): f"1x{_STEPS}" for name in names}


def _up(observed: Observed, name: str) -> str:
    return _series("up", {"job": job_of(observed.system, name), **observed.labels, "instance": "1"})


def _series(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(matchers(labels))}}}"


def _labels(alert: Alert, observed: Observed, more: dict[str, str]) -> dict[str, str]:
    service = {"service": alert.service} if alert.service else {}
    return {**more, "severity": alert.severity, "system": observed.system, **observed.labels, **service}


def _filled(text: str, reason: _Reason) -> str:
    """The template as Prometheus fills it."""
    for name, value in reason.labels.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", value)
    text = text.replace("{{ or $labels.pod $labels.instance }}", reason.labels.get("pod", ""))
    return text.replace("{{ $value }}", reason.value).replace("{{ $value | humanizePercentage }}", reason.value)
