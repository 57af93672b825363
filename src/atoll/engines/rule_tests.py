"""Tests of the rules of a system, for `promtool test rules`: each alert once with its reason, and once without."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from atoll.engines.alerts import FIGURES, GATEWAY, MOST_LAG, Alert, Observed, alerts
from atoll.engines.pace import duration
from atoll.engines.service_levels import BURN, DURATION, LEAST, Level, burn_alerts, job_of, levels

Test = dict[str, object]
Series = dict[str, str]
"""The values of each series, as promtool writes them: "0+5x9" begins with 0 and adds 5 nine times."""

_STEPS = 30
"""Evaluations of one test."""
_MANY = 100_000
"""Requests between two evaluations."""


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
    measured = {**_healthy(observed), **case.series}
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
    found = [level for member in observed.measured() for level in levels(observed.description, member)]
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


# Service levels.


def _of_levels(observed: Observed, found: Sequence[Level]) -> Iterator[_Case]:
    kept, broken = dict.fromkeys(found, 0.0), dict.fromkeys(found, 1.0)
    slowly = {level: 2 * level.budget for level in found}
    yield _Case("every promise is kept", _requests(kept))
    yield _Case("no promise is kept", _requests(broken), _burning(observed, broken, ("page", "ticket")))
    yield _Case("budgets go twice as fast as they may", _requests(slowly), _burning(observed, slowly, ("ticket",)))
    few = _requests(dict.fromkeys(found, 0.5), 2 * (LEAST - 1), f"0x{_STEPS - 4} {{}}x10")
    yield _Case("a few bad requests wake nobody", few)


def _burning(observed: Observed, bad: Mapping[Level, float], severities: Sequence[str]) -> dict[str, list[Test]]:
    """What fires when of each level this share is bad."""
    expected: list[Test] = []
    for level, share in bad.items():
        for rule in burn_alerts(level, observed.pace):
            labels, texts = rule["labels"], rule["annotations"]
            assert isinstance(labels, dict)
            assert isinstance(texts, dict)
            if labels["severity"] in severities:
                summary = texts["summary"].replace("{{ $value | humanizePercentage }}", f"{100 * share:.4g}%")
                annotations = {"summary": summary, "description": texts["description"]}
                expected.append({"exp_labels": {**level.labels, **labels}, "exp_annotations": annotations})
    return {BURN: expected}


def _requests(bad: Mapping[Level, float], many: int = _MANY, values: str = f"0+{{}}x{_STEPS}") -> Series:
    """Requests of each service of which these shares are bad.

    many: of each service. values: with a place for a number of them.
    """
    series: Series = {}
    for job in dict.fromkeys(level.job for level in bad):
        shares = {level.slo: share for level, share in bad.items() if level.job == job}
        failed = round(many * shares.get("availability", 0.0))
        fast = round(many * (1.0 - shares.get("latency", 0.0)))
        served_fast = min(many - failed, fast)
        seconds = next((level.seconds for level in bad if level.job == job and level.seconds), 0.0)
        for status, count, in_time in (("200", many - failed, served_fast), ("500", failed, fast - served_fast)):
            labels = {"job": job, "http_response_status_code": status}
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
    job = job_of(observed.system, "a")
    consumer = {"messaging_destination_name": "t", "messaging_consumer_group_name": "c"}
    figures = job_of(observed.system, FIGURES)
    steadily = f"0+1x{_STEPS}"
    match alert.name:
        case "ServiceDown":
            up = job_of(observed.system, alert.service)
            return _Reason({_series("up", {"job": up, "instance": "1"}): f"1x4 0x{_STEPS}"})
        case "EngineDown":
            name = "postgresql" if alert.service == "postgres" else alert.service
            return _Reason({_series(f"{name}_up", {"job": figures}): f"1x4 0x{_STEPS}"})
        case "CrashLoop" if observed.where == "machine":
            ends = {"process": "a-1"}
            return _Reason(
                {_series("atoll_process_crashes_total", {"job": figures, **ends}): steadily}, {"job": figures, **ends}
            )
        case "CrashLoop":
            pod = {"namespace": observed.namespace, "pod": "a-1"}
            return _Reason({_series("kube_pod_container_status_restarts_total", pod): steadily}, pod)
        case "BreakerOpen":
            edge = {"job": job, "destination": "b"}
            return _Reason({_series("atoll_client_breaker", edge): f"0x4 2x{_STEPS}"}, edge)
        case "ConsumerLag":
            who = {"job": job, **consumer}
            waiting = MOST_LAG + 1
            return _Reason({_series("messaging_consumer_lag", who): f"{waiting}x{_STEPS}"}, who, str(waiting))
        case "DeadLetters":
            who = {"job": job, **consumer}
            return _Reason({_series("messaging_dead_letters_total", who): f"0x{_STEPS - 2} 1x10"}, who)
        case _:
            return _Reason({_series("messaging_outbox_oldest_seconds", {"job": job}): f"3600x{_STEPS}"}, {"job": job})


def _healthy(observed: Observed) -> Series:
    """Everything is up."""
    names = [member.name for member in observed.measured()]
    jobs = [job_of(observed.system, name) for name in [*names, *([GATEWAY] if observed.description.gateway else [])]]
    return {_series("up", {"job": job, "instance": "1"}): f"1x{_STEPS}" for job in jobs}


def _series(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}"


def _labels(alert: Alert, observed: Observed, more: dict[str, str]) -> dict[str, str]:
    service = {"service": alert.service} if alert.service else {}
    return {**more, "severity": alert.severity, "system": observed.system, **service}


def _filled(text: str, reason: _Reason) -> str:
    """The template as Prometheus fills it."""
    for name, value in reason.labels.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", value)
    text = text.replace("{{ or $labels.pod $labels.instance }}", reason.labels.get("pod", ""))
    return text.replace("{{ $value }}", reason.value)
