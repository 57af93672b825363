"""A service level as rules: how much of what was promised is missed, and alerts when that goes too fast.

Multi-window, multi-burn-rate alerts. Source: The Site Reliability Workbook, chapter 5, with its figures for 30 days.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from atoll.engines.pace import Pace
from atoll.wire.description import Description, MemberData

Rule = dict[str, object]
"""A rule as Prometheus reads it."""

DURATION = "http_server_request_duration_seconds"
BAD = "job:slo_bad"
BURN = "ErrorBudgetBurn"
LEAST = 5
"""Bad requests in the long window before anybody is told: one of three at night is no emergency."""


@dataclass(frozen=True, slots=True)
class Burn:
    """Tell somebody if the budget goes `factor` times as fast as it may, in the long window and still in the short."""

    severity: str
    factor: float
    long: float
    short: float


BURNS = (
    Burn("page", 14.4, 3_600, 300),
    Burn("page", 6, 21_600, 1_800),
    Burn("ticket", 3, 86_400, 7_200),
    Burn("ticket", 1, 259_200, 21_600),
)


@dataclass(frozen=True, slots=True)
class Level:
    """One promise of one service.

    slo: "availability" or "latency". budget: the share that may be bad. seconds: of latency.
    ignored: routes that are left out.
    """

    job: str
    service: str
    system: str
    slo: str
    budget: float
    seconds: float = 0.0
    ignored: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        return {"job": self.job, "system": self.system, "service": self.service, "slo": self.slo}

    @property
    def burns(self) -> tuple[Burn, ...]:
        """Without those that a small promise can't reach: not more than all requests can be bad."""
        return tuple(each for each in BURNS if each.factor * self.budget < 1.0)

    @property
    def promise(self) -> str:
        share = f"{100 * (1 - self.budget):.6g} %"
        return (
            f"{share} answered without an error" if not self.seconds else f"{share} answered within {self.seconds:g} s"
        )

    def requests(self, suffix: str, *more: str) -> str:
        """A series of requests that count."""
        left_out = [f'http_route!~"{"|".join(map(_escaped, self.ignored))}"'] if self.ignored else []
        matchers = [f'job="{self.job}"', 'http_response_status_code!="101"', *left_out, *more]
        return f"{DURATION}_{suffix}{{{','.join(matchers)}}}"


def job_of(system: str, service: str) -> str:
    """The label `job` of a service: its namespace and name, as OpenTelemetry has it."""
    return f"{system}/{service}"


def levels(description: Description, member: MemberData) -> tuple[Level, ...]:
    """What the member promises."""
    slo = member.slo
    if slo is None:
        return ()
    who = (job_of(description.name, member.name), member.name, description.name)
    streams = tuple(
        each.path
        for target in member.contracts
        if (contract := description.contract(target))
        for each in contract.operations
        if each.streams
    )
    found = [Level(*who, "availability", 1.0 - slo.availability)]
    if slo.latency_share:
        found.append(Level(*who, "latency", 1.0 - slo.latency_share, slo.latency_seconds, streams))
    return tuple(found)


def recordings(level: Level, pace: Pace) -> Iterator[Rule]:
    """The share of bad requests in each window, and in long windows their number."""
    for nominal in sorted({window for burn in level.burns for window in (burn.short, burn.long)}):
        window = pace.window(nominal)
        record = f"{BAD}:ratio_rate{window}"
        yield {"record": record, "expr": _ratio(level, window), "labels": level.labels}
    for nominal in sorted({burn.long for burn in level.burns}):
        window = pace.window(nominal)
        yield {"record": f"{BAD}:increase{window}", "expr": _number(level, window), "labels": level.labels}


def burn_alerts(level: Level, pace: Pace) -> Iterator[Rule]:
    """One alert a severity."""
    for severity in dict.fromkeys(each.severity for each in level.burns):
        conditions = [_condition(level, each, pace) for each in level.burns if each.severity == severity]
        yield {
            "alert": BURN,
            "expr": "\nor\n".join(conditions),
            "labels": {"severity": severity, "system": level.system, "service": level.service, "slo": level.slo},
            "annotations": {
                "summary": f"{level.service} misses what it promises: "
                f"{{{{ $value | humanizePercentage }}}} of its requests {_missed(level)}",
                "description": f"Promised are {level.promise}. Look at `atoll traces`, `atoll logs {level.service}`, "
                "and at what was deployed last.",
            },
        }


def _condition(level: Level, burn: Burn, pace: Pace) -> str:
    which = ",".join(f'{name}="{value}"' for name, value in level.labels.items())
    limit = f"{burn.factor * level.budget:.6g}"
    long, short = pace.window(burn.long), pace.window(burn.short)
    return (
        f"({BAD}:ratio_rate{long}{{{which}}} > {limit}"
        f"\n and {BAD}:ratio_rate{short}{{{which}}} > {limit}"
        f"\n and {BAD}:increase{long}{{{which}}} >= {LEAST})"
    )


def _missed(level: Level) -> str:
    return f"take longer than {level.seconds:g} s" if level.seconds else "fail"


def _ratio(level: Level, window: str) -> str:
    total = f"sum(rate({level.requests('count')}[{window}]))"
    if not level.seconds:
        failed = level.requests("count", 'http_response_status_code=~"5.."')
        # Without a single failure there is no series of failures.
        return f"(sum(rate({failed}[{window}])) or vector(0))\n/\n{total}"
    fast = level.requests("bucket", f'le="{level.seconds!r}"')
    return f"1 - sum(rate({fast}[{window}]))\n/\n{total}"


def _number(level: Level, window: str) -> str:
    if not level.seconds:
        failed = level.requests("count", 'http_response_status_code=~"5.."')
        return f"sum(increase({failed}[{window}]))"
    fast = level.requests("bucket", f'le="{level.seconds!r}"')
    return f"sum(increase({level.requests('count')}[{window}]))\n-\nsum(increase({fast}[{window}]))"


def _escaped(route: str) -> str:
    """In a regular expression of a string of Prometheus; braces and points are all that routes have of it."""
    return "".join(f"\\\\{each}" if each in "{}.+*?()[]^$|" else each for each in route)
