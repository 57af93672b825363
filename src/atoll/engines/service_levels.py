"""A service level as rules: how much of what was promised is missed, and alerts when that goes too fast.

Multi-window, multi-burn-rate alerts. Source: The Site Reliability Workbook, chapter 5, with its figures for 30 days.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from atoll.engines.observed import Observed, job_of, matchers
from atoll.engines.pace import Pace
from atoll.wire.description import MemberData

Rule = dict[str, object]
"""A rule as Prometheus reads it."""

DURATION = "http_server_request_duration_seconds"
BAD = "job:slo_bad"
BURN = "ErrorBudgetBurn"
WINDOW = "window"
PERCENT = '{{ if ge $value 10.0 }}{{ printf "%.0f" $value }}{{ else }}{{ printf "%.2g" $value }}{{ end }} %'
"""As the dashboard writes a share: 21 %, 2.4 %."""
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
    ignored: routes that are left out. namespace: of a cluster; "" on one machine.
    """

    job: str
    service: str
    system: str
    slo: str
    budget: float
    seconds: float = 0.0
    ignored: tuple[str, ...] = ()
    namespace: str = ""

    @property
    def place(self) -> dict[str, str]:
        return {"namespace": self.namespace} if self.namespace else {}

    @property
    def told(self) -> dict[str, str]:
        """The labels of its alerts."""
        return {"system": self.system, **self.place, "service": self.service, "slo": self.slo}

    @property
    def labels(self) -> dict[str, str]:
        """Of what is recorded of it."""
        return {"job": self.job, **self.told}

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
        whose = matchers({"job": self.job, **self.place})
        every = [*whose, 'http_response_status_code!="101"', *left_out, *more]
        return f"{DURATION}_{suffix}{{{','.join(every)}}}"


def levels(observed: Observed, member: MemberData) -> tuple[Level, ...]:
    """What the member promises."""
    slo = member.slo
    if slo is None:
        return ()
    description, namespace = observed.description, observed.namespace
    who = (job_of(observed.system, member.name), member.name, observed.system)
    streams = tuple(
        each.path
        for target in member.contracts
        if (contract := description.contract(target))
        for each in contract.operations
        if each.streams
    )
    found = [Level(*who, "availability", 1.0 - slo.availability, namespace=namespace)]
    if slo.latency_share:
        found.append(Level(*who, "latency", 1.0 - slo.latency_share, slo.latency_seconds, streams, namespace))
    return tuple(found)


def recordings(level: Level, observed: Observed) -> Iterator[Rule]:
    """The share of bad requests in each window, and in long windows their number.

    The window is a label as well, so that an alert can say over which of them it is told.
    """
    for nominal in sorted({window for burn in level.burns for window in (burn.short, burn.long)}):
        window = observed.pace.window(nominal)
        labels = {**level.labels, WINDOW: window}
        yield {"record": f"{BAD}:ratio_rate{window}", "expr": _ratio(level, window), "labels": labels}
    for nominal in sorted({burn.long for burn in level.burns}):
        window = observed.pace.window(nominal)
        labels = {**level.labels, WINDOW: window}
        yield {"record": f"{BAD}:increase{window}", "expr": _number(level, window), "labels": labels}


def burn_alerts(level: Level, observed: Observed) -> Iterator[Rule]:
    """One alert a severity, which stays the same alert when another of its windows tells of it."""
    for severity in dict.fromkeys(each.severity for each in level.burns):
        conditions = [_condition(level, each, observed.pace) for each in level.burns if each.severity == severity]
        yield {
            "alert": BURN,
            "expr": f"\nor ignoring({WINDOW})\n".join(conditions),
            # A label without a value is none.
            "labels": {"severity": severity, **level.told, WINDOW: ""},
            "annotations": {
                "summary": f"{level.service} misses what it promises: {PERCENT} of its requests in the last "
                f"{{{{ $labels.{WINDOW} }}}} {_missed(level)}",
                "description": f"Promised are {level.promise}. Look at {observed.look(level.service)}, "
                "and at what was deployed last.",
            },
        }


def _condition(level: Level, burn: Burn, pace: Pace) -> str:
    """In percent, of the long window: what the alert says."""
    which = ",".join(matchers(level.labels))
    limit = f"{burn.factor * level.budget:.6g}"
    long, short = pace.window(burn.long), pace.window(burn.short)
    return (
        f"100 * (\n {BAD}:ratio_rate{long}{{{which}}} > {limit}"
        f"\n and ignoring({WINDOW}) {BAD}:ratio_rate{short}{{{which}}} > {limit}"
        f"\n and {BAD}:increase{long}{{{which}}} >= {LEAST}\n)"
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
