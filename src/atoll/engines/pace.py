"""How fast time goes for rules and alerts: as written, or so fast that a laptop sees an hour in a minute."""

from dataclasses import dataclass

MOST = 60.0
"""The fastest: at it the shortest window of a service level is as long as five measurements."""

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


@dataclass(frozen=True, slots=True)
class Pace:
    """scale: 1 is real time, 60 makes an hour a minute. All times are seconds of the unscaled rule."""

    scale: float = 1.0

    @property
    def measured(self) -> float:
        """Seconds between two measurements: 15, at most one a second."""
        return max(15.0 / self.scale, 1.0)

    def seconds(self, nominal: float) -> float:
        return nominal / self.scale

    def window(self, nominal: float) -> str:
        """As Prometheus writes it."""
        return duration(self.seconds(nominal))

    def held(self, nominal: float) -> str:
        """How long something must last to be told; five measurements at least."""
        return duration(max(self.seconds(nominal), 5.0 * self.measured))


def duration(seconds: float) -> str:
    """ "5m", "1h", "1500ms"."""
    left = max(round(seconds * 1_000), 1)
    unit, size = next((unit, size) for unit, size in _UNITS if left % size == 0)
    return f"{left // size}{unit}"
