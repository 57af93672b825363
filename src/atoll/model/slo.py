"""What the users of a service may expect of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Slo:
    """The level of a service over 30 days; from it follow rules that alert before it is missed.

    availability: the share of requests that are not answered 5xx.
    latency: a share of requests, and the seconds within which they are answered; None promises nothing. Streams, and
    WebSockets, are left out: they last as long as somebody listens.
    """

    availability: float = 0.999
    latency: tuple[float, float] | None = None


def mistake_of(slo: Slo) -> str:
    """What is wrong with it; "" for nothing."""
    share, seconds = slo.latency or (0.5, 1.0)
    if not 0.5 <= slo.availability < 1.0:
        return f"availability is {slo.availability:g}"
    if not 0.5 <= share < 1.0:
        return f"the share of latency is {share:g}"
    return "" if 0.0 < seconds <= 60.0 else f"the time of latency is {seconds:g} s"
