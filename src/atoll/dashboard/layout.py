"""Where the boxes of a graph are drawn, from the left to the right, and how its lines go between them. Pure.

After Sugiyama: layers by the longest way, the order within a layer by the middle of the neighbours, then heights that
bend lines as little as they can. A line that passes a layer has a place of its own there, so it crosses no box.
"""

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean as mean

SWEEPS = 12
"""Times that the order and the heights are improved; fewer where there is so much that nobody could tell."""

_SPOTS = 10_000
"""That are moved in all sweeps together."""

GAP_X, GAP_Y = 88.0, 32.0
_PASSING = 16.0
"""How high the place of a line that passes is."""

Pair = tuple[str, str]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Size:
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Box:
    """x, y: of its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """lines: the points of each, from the caller to the callee; between two points it is a curve."""

    boxes: Mapping[str, Box]
    lines: Mapping[Pair, tuple[Point, ...]]
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place in a layer: a box, or where the line passes by."""

    name: str
    line: Pair | None = None


def forward(nodes: Sequence[str], links: Iterable[Pair]) -> list[Pair]:
    """The links without those that lead back, which are turned around; none from a node to itself."""
    below: dict[str, list[str]] = {name: [] for name in nodes}
    for caller, callee in links:
        if caller != callee:
            below[caller].append(callee)
    done: set[str] = set()
    found: dict[Pair, None] = {}
    for root in nodes:
        path: dict[str, None] = {}
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            name, position = stack.pop()
            if position == 0:
                if name in done:
                    continue
                path[name] = None
            if position < len(below[name]):
                stack.append((name, position + 1))
                callee = below[name][position]
                found[(callee, name) if callee in path else (name, callee)] = None
                if callee not in path and callee not in done:
                    stack.append((callee, 0))
            else:
                path.pop(name, None)
                done.add(name)
    return list(found)


def layers(nodes: Sequence[str], links: Sequence[Pair]) -> dict[str, int]:
    """The layer of each node: behind all that lead to it; one to which none leads, right before what it leads to."""
    found = dict.fromkeys(nodes, 0)
    for _ in nodes:
        changed = False
        for caller, callee in links:
            if found[callee] <= found[caller]:
                found[callee] = found[caller] + 1
                changed = True
        if not changed:
            break
    reached = {callee for _, callee in links}
    for name in nodes:
        behind = [found[callee] for caller, callee in links if caller == name]
        if name not in reached and behind:
            found[name] = min(behind) - 1
    return found


def layout(sizes: Mapping[str, Size], links: Sequence[Pair]) -> Layout:
    """sizes: of each node. links: between nodes; those from a node to itself have no line."""
    if not sizes:
        return Layout({}, {}, 0.0, 0.0)
    ahead = forward(list(sizes), links)
    levels = layers(list(sizes), ahead)
    rows, ways = _rows(list(sizes), ahead, levels)
    rows = _ordered(rows, ways)
    tall = {spot: sizes[spot.name].height if spot.line is None else _PASSING for row in rows for spot in row}
    middles = _middles(rows, ways, tall)
    widths = [max((sizes[spot.name].width for spot in row if spot.line is None), default=0.0) for row in rows]
    lefts = [sum(widths[:number]) + GAP_X * number for number in range(len(rows))]
    top = min(middles[spot] - tall[spot] / 2 for row in rows for spot in row)
    boxes = {
        spot.name: Box(
            lefts[number] + (widths[number] - sizes[spot.name].width) / 2,
            middles[spot] - tall[spot] / 2 - top,
            sizes[spot.name].width,
            sizes[spot.name].height,
        )
        for number, row in enumerate(rows)
        for spot in row
        if spot.line is None
    }
    passing = {
        spot: (lefts[number], lefts[number] + widths[number], middles[spot] - top)
        for number, row in enumerate(rows)
        for spot in row
        if spot.line is not None
    }
    lines = _lines(boxes, ways, passing)
    width = lefts[-1] + widths[-1]
    height = max(middles[spot] + tall[spot] / 2 for row in rows for spot in row) - top
    # What was turned around is drawn as it is.
    drawn = {pair: lines[pair] if pair in lines else lines[pair[::-1]][::-1] for pair in links if pair[0] != pair[1]}
    return Layout(boxes, drawn, width, height)


def _rows(
    nodes: Sequence[str], links: Sequence[Pair], levels: Mapping[str, int]
) -> tuple[list[list[_Spot]], dict[Pair, list[_Spot]]]:
    """The spots of each layer, and those that each line goes through."""
    rows: list[list[_Spot]] = [[] for _ in range(max(levels.values()) + 1)]
    for name in nodes:
        rows[levels[name]].append(_Spot(name))
    ways: dict[Pair, list[_Spot]] = {}
    for caller, callee in links:
        between = [_Spot(f"{level}", (caller, callee)) for level in range(levels[caller] + 1, levels[callee])]
        for level, spot in enumerate(between, levels[caller] + 1):
            rows[level].append(spot)
        ways[caller, callee] = [_Spot(caller), *between, _Spot(callee)]
    return rows, ways


def _neighbours(ways: Mapping[Pair, Sequence[_Spot]]) -> tuple[dict[_Spot, list[_Spot]], dict[_Spot, list[_Spot]]]:
    before: dict[_Spot, list[_Spot]] = {}
    behind: dict[_Spot, list[_Spot]] = {}
    for way in ways.values():
        for one, other in itertools.pairwise(way):
            behind.setdefault(one, []).append(other)
            before.setdefault(other, []).append(one)
    return before, behind


def _ordered(rows: Sequence[Sequence[_Spot]], ways: Mapping[Pair, Sequence[_Spot]]) -> list[list[_Spot]]:
    """Each layer in the order in which lines cross the least, of those that were tried."""
    before, behind = _neighbours(ways)
    best = current = [list(row) for row in rows]
    fewest = _crossings(current, behind)
    for sweep in range(_sweeps(rows)):
        towards, numbers = (before, range(1, len(rows))) if sweep % 2 == 0 else (behind, range(len(rows) - 2, -1, -1))
        current = [list(row) for row in current]
        for number in numbers:
            other = current[number - 1] if towards is before else current[number + 1]
            place = {spot: float(position) for position, spot in enumerate(other)}
            middles = {
                spot: mean([place[each] for each in towards.get(spot, ()) if each in place] or [float(position)])
                for position, spot in enumerate(current[number])
            }
            current[number].sort(key=middles.__getitem__)
        crossings = _crossings(current, behind)
        if crossings < fewest:
            best, fewest = current, crossings
    return best


def _sweeps(rows: Sequence[Sequence[_Spot]]) -> int:
    return min(SWEEPS, max(2, _SPOTS // max(sum(map(len, rows)), 1)))


def _crossings(rows: Sequence[Sequence[_Spot]], behind: Mapping[_Spot, Sequence[_Spot]]) -> int:
    count = 0
    for row, following in itertools.pairwise(rows):
        place = {spot: position for position, spot in enumerate(following)}
        ends = [place[other] for spot in row for other in sorted(behind.get(spot, ()), key=place.__getitem__)]
        passed: list[int] = []
        for end in ends:
            position = bisect.bisect_right(passed, end)
            count += len(passed) - position
            passed.insert(position, end)
    return count


def _middles(
    rows: Sequence[Sequence[_Spot]], ways: Mapping[Pair, Sequence[_Spot]], tall: Mapping[_Spot, float]
) -> dict[_Spot, float]:
    """How high the middle of each spot is: as near to its neighbours as its layer lets it."""
    before, behind = _neighbours(ways)
    found: dict[_Spot, float] = {}
    for row in rows:
        whole = sum(tall[spot] + GAP_Y for spot in row)
        at = -whole / 2
        for spot in row:
            found[spot] = at + tall[spot] / 2
            at += tall[spot] + GAP_Y
    for sweep in range(_sweeps(rows)):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted: list[float] = []
            for spot in row:
                near = [found[each] for each in (*before.get(spot, ()), *behind.get(spot, ()))]
                wanted.append(sum(near) / len(near) if near else found[spot])
            found |= dict(zip(row, apart(wanted, [tall[spot] for spot in row]), strict=True))
    return found


def apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """The middles nearest to what is wanted (by least squares) at which the heights do not overlap, in this order."""
    offsets = [0.0]
    for above, below in itertools.pairwise(heights):
        offsets.append(offsets[-1] + (above + below) / 2 + GAP_Y)
    # Pool adjacent violators: those that would overlap move together.
    pools: list[tuple[float, int]] = []
    for middle, offset in zip(wanted, offsets, strict=False):
        mean, count = middle - offset, 1
        while pools and pools[-1][0] >= mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=False)]


def _lines(
    boxes: Mapping[str, Box],
    ways: Mapping[Pair, Sequence[_Spot]],
    passing: Mapping[_Spot, tuple[float, float, float]],
) -> dict[Pair, tuple[Point, ...]]:
    """From the right side of one box to the left side of another; lines that share a side spread over it."""
    # By side and node, in the order of where the lines come from or go to.
    sides: dict[tuple[str, str], list[tuple[float, Pair]]] = {}
    for pair, way in ways.items():
        for side, name, towards in (("out", pair[0], way[1]), ("in", pair[1], way[-2])):
            height = passing[towards][2] if towards.line else boxes[towards.name].middle
            sides.setdefault((side, name), []).append((height, pair))
    ends: dict[tuple[str, Pair], float] = {}
    for (side, name), lines in sides.items():
        box = boxes[name]
        step = min(12.0, (box.height - 8) / len(lines))
        for position, (_, pair) in enumerate(sorted(lines)):
            ends[side, pair] = box.middle + (position - (len(lines) - 1) / 2) * step
    found: dict[Pair, tuple[Point, ...]] = {}
    for pair, way in ways.items():
        first, last = boxes[pair[0]], boxes[pair[1]]
        points: list[Point] = [(first.x + first.width, ends["out", pair])]
        for spot in way[1:-1]:
            left, right, height = passing[spot]
            points += [(left, height), (right, height)]
        found[pair] = (*points, (last.x, ends["in", pair]))
    return found
