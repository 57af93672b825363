"""What a benchmark found: figures of ours, and how many times better it is than each peer."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Missing(Exception):
    """This machine lacks what the benchmark measures with; the message says what."""


@dataclass(frozen=True)
class Result:
    """One benchmark's outcome.

    samples: of each contender one number a round; rounds alternate, so the same index is the same moment.
    unit: of the samples. smaller_is_better: for times and CPU.
    figures: named numbers of ours. ratios: by peer, how many times better ours is, the median over rounds.
    """

    name: str
    unit: str
    samples: Mapping[str, Sequence[float]]
    smaller_is_better: bool
    figures: Mapping[str, float]
    ratios: Mapping[str, float] = field(default_factory=dict[str, float])

    def as_data(self) -> dict[str, object]:
        return {"name": self.name, "figures": dict(self.figures), "ratios": dict(self.ratios)}


def compare(
    name: str,
    unit: str,
    samples: Mapping[str, Sequence[float]],
    *,
    ours: str = "atoll",
    smaller_is_better: bool,
    figures: Mapping[str, float] | None = None,
) -> Result:
    """Ratios round by round, for the speed of a machine drifts within seconds and only neighbours compare."""
    ratios: dict[str, float] = {}
    for peer, theirs in samples.items():
        if peer != ours:
            pairs = zip(samples[ours], theirs, strict=True)
            each = [them / us if smaller_is_better else us / them for us, them in pairs]
            ratios[peer] = round(statistics.median(each), 3)
    return Result(name, unit, samples, smaller_is_better, figures or {}, ratios)


def table(result: Result) -> str:
    """The result for people: minimum, median and maximum of each contender, then figures and ratios."""
    lines = [f"{result.name}, {result.unit} ({'less' if result.smaller_is_better else 'more'} is better)"]
    width = max([len(name) for name in (*result.samples, *result.figures)], default=0)
    for name, samples in result.samples.items():
        low, middle, high = min(samples), statistics.median(samples), max(samples)
        ratio = f"   ours is {result.ratios[name]:.2f} times better" if name in result.ratios else ""
        lines.append(f"  {name:<{width}}  {low:>10.2f} {middle:>10.2f} {high:>10.2f}{ratio}")
    lines += [f"  {name:<{width}}  {value:>10.3f}" for name, value in result.figures.items()]
    return "\n".join(lines)
