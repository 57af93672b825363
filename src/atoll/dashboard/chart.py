"""Small charts of what a service did over time, as bars. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from atoll.collector.query import Window
from atoll.collector.values import Figures, Moment

WIDTH, HEIGHT = 600.0, 64.0
_BARS = 60


@dataclass(frozen=True, slots=True)
class Bar:
    """y, height: of all; red: the height of what of it failed. says: what its tip tells."""

    x: float
    width: float
    height: float
    red: float
    says: str


@dataclass(frozen=True, slots=True)
class Chart:
    """top: what its full height stands for."""

    bars: tuple[Bar, ...]
    top: float


def step_of(window: Window) -> int:
    """Seconds of a bar, a multiple of ten."""
    return max(int(window.seconds / _BARS // 10 * 10), 10)


def chart(
    moments: Sequence[Moment],
    window: Window,
    value: Callable[[Figures], float],
    red: Callable[[Figures], float],
    says: Callable[[Figures], str],
) -> Chart:
    """A bar for each moment. value: its height. red: the share of it that is drawn in red."""
    step = step_of(window)
    top = max((value(each.figures) for each in moments), default=0.0) or 1.0
    first = window.first_step // step * step
    scale = WIDTH / max(window.until - first, step)
    return Chart(
        tuple(
            Bar(
                (each.at - first) * scale,
                max(step * scale - 1, 1.0),
                value(each.figures) / top * HEIGHT,
                value(each.figures) / top * HEIGHT * red(each.figures),
                says(each.figures),
            )
            for each in moments
        ),
        top,
    )
