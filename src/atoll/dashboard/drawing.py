"""The map as shapes: what the template only has to write down. Pure."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from atoll.dashboard.crowd import OTHERS, Crowd
from atoll.dashboard.graph import HEALTHS, LAGS, Link, Node
from atoll.dashboard.layout import Box, Layout, Point, Size, layout
from atoll.dashboard.words import addressed, milliseconds, rate, share

_WIDTH = 188.0
_HEAD, _ROW = 48.0, 20.0
_TOPIC = Size(146.0, 34.0)
_MARGIN = 16.0
_LABEL_HEIGHT = 15.0
_CHARACTER = 6.2
"""How wide one is in a label."""

_SQUARE = 128.0
_TALL = 1_600.0

_ALONG = (0.5, 0.36, 0.64, 0.24, 0.76, 0.14, 0.86)
"""Where on its line a label may stand, the best place first."""


@dataclass(frozen=True, slots=True)
class DrawnLink:
    """path: of SVG. label: where its middle is. href: the traces that it stands for."""

    link: Link
    path: str
    label: Point
    width: float
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """says: what stands below its name."""

    node: Node
    box: Box
    href: str
    says: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole map. Its measures are of its own; whoever shows it scales it, unless it is tall."""

    nodes: tuple[DrawnNode, ...]
    links: tuple[DrawnLink, ...]
    width: float
    height: float

    @property
    def is_tall(self) -> bool:
        """Nobody could read it if it were as small as a window."""
        return self.height > _TALL


def drawing(drawn: Crowd) -> Drawing:
    """Every node and link in its place; those in trouble last, so that nothing lies over them."""
    graph = drawn.graph
    sizes = {node.name: _size(node) for node in graph.nodes}
    made = layout(sizes, [(link.caller, link.callee) for link in graph.links])
    boxes = {name: Box(box.x + _MARGIN, box.y + _MARGIN, box.width, box.height) for name, box in made.boxes.items()}
    links = _drawn(graph.links, made, boxes.values())
    nodes = [DrawnNode(node, boxes[node.name], _page_of(node), _says(node, drawn)) for node in graph.nodes]
    return Drawing(tuple(nodes), tuple(links), made.width + 2 * _MARGIN, made.height + 2 * _MARGIN)


def _size(node: Node) -> Size:
    return _TOPIC if node.kind == "topic" else Size(_WIDTH, _HEAD + _ROW * len(node.stores))


def _page_of(node: Node) -> str:
    if node.kind == "others":
        return "/services"
    return "/events" if node.kind == "topic" else f"/services/{addressed(node.name)}"


def _says(node: Node, drawn: Crowd) -> str:
    if node.kind == "others":
        return f"{drawn.nodes_left} more"
    if not node.figures.calls:
        return "quiet"
    said = f"{rate(node.figures.rate)} · {milliseconds(node.figures.p99)}"
    return f"{said} by callers" if node.by_callers else said


def _drawn(links: Iterable[Link], made: Layout, boxes: Iterable[Box]) -> list[DrawnLink]:
    taken = _Taken(boxes)
    found: list[DrawnLink] = []
    for link in sorted(links, key=lambda each: HEALTHS.index(each.health)):
        if link.caller == link.callee:
            continue
        points = [(x + _MARGIN, y + _MARGIN) for x, y in made.lines[link.caller, link.callee]]
        text = _text(link)
        width = len(text) * _CHARACTER + 10
        label = _place(points, width, taken) if text else (0.0, 0.0)
        if text:
            taken.add(_around(label, width))
        found.append(DrawnLink(link, _path(points), label, width, text, _traces_of(link)))
    return found


def _text(link: Link) -> str:
    """What stands on the line."""
    if not link.figures.calls and not link.breaker and not link.lag:
        return ""
    parts = [rate(link.figures.rate)] if link.figures.calls else []
    if link.kind == "call" and link.figures.calls:
        parts.append(milliseconds(link.figures.p99))
    if link.figures.errors:
        parts.append(f"{share(link.figures.error_rate)} fail")
    if link.breaker:
        parts.append(f"breaker {link.breaker}")
    if link.lag >= LAGS:
        parts.append(f"{link.lag} wait")
    return " · ".join(parts)


def _traces_of(link: Link) -> str:
    """A link in trouble leads to its failing traces, any other one to all."""
    service = link.caller if link.kind == "publish" else link.callee
    asked = [] if service == OTHERS else [f"service={addressed(service)}"]
    asked += ["failed=1"] if link.figures.errors else []
    return "/traces?" + "&".join(asked)


class _Taken:
    """Where labels would cover something, by squares of the map: most of what is taken is far from a label."""

    def __init__(self, boxes: Iterable[Box]) -> None:
        self._squares: dict[tuple[int, int], list[Box]] = {}
        for box in boxes:
            self.add(box)

    def add(self, box: Box) -> None:
        for square in self._under(box):
            self._squares.setdefault(square, []).append(box)

    def covered(self, label: Box) -> float:
        """How much of what is taken."""
        near = {id(box): box for square in self._under(label) for box in self._squares.get(square, ())}
        return sum(_overlap(label, box) for box in near.values())

    def _under(self, box: Box) -> Iterator[tuple[int, int]]:
        for column in range(int(box.x // _SQUARE), int((box.x + box.width) // _SQUARE) + 1):
            for row in range(int(box.y // _SQUARE), int((box.y + box.height) // _SQUARE) + 1):
                yield column, row


def _place(points: Sequence[Point], width: float, taken: _Taken) -> Point:
    """The first place on the line where the label covers nothing, or the least."""
    candidates = [_on(points, along) for along in _ALONG]
    return min(candidates, key=lambda at: taken.covered(_around(at, width)))


def _around(middle: Point, width: float) -> Box:
    return Box(middle[0] - width / 2, middle[1] - _LABEL_HEIGHT / 2, width, _LABEL_HEIGHT)


def _overlap(one: Box, other: Box) -> float:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(across, 0.0) * max(down, 0.0)


def _on(points: Sequence[Point], along: float) -> Point:
    """The point of the line at this share of its width."""
    at = points[0][0] + (points[-1][0] - points[0][0]) * along
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        if min(x1, x2) <= at <= max(x1, x2):
            share_ = (at - x1) / (x2 - x1) if x1 != x2 else 0.0
            # The curve of _path, whose height goes from one end to the other like this.
            return at, y1 + (y2 - y1) * share_ * share_ * (3 - 2 * share_)
    return points[-1]


def _path(points: Sequence[Point]) -> str:
    """M 0,0 C 50,0 50,80 100,80 …"""
    (x, y), *rest = points
    parts = [f"M{x:.0f},{y:.1f}"]
    for x2, y2 in rest:
        half = (x + x2) / 2
        parts.append(f"C{half:.0f},{y:.1f} {half:.0f},{y2:.1f} {x2:.0f},{y2:.1f}" if y2 != y else f"H{x2:.0f}")
        x, y = x2, y2
    return " ".join(parts)
