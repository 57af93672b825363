"""The map as shapes: what the template only has to write down. Pure."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from atoll.collector.values import Figures
from atoll.dashboard.graph import LAGS, Graph, Link, Node
from atoll.dashboard.layout import Box, Layout, Point, Size, layout
from atoll.dashboard.words import milliseconds, rate, share

_WIDTH = 188.0
_HEAD, _ROW = 48.0, 20.0
_TOPIC = Size(146.0, 34.0)
_MARGIN = 16.0
_LABEL_HEIGHT = 15.0
_CHARACTER = 6.2
"""How wide one is in a label."""

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
    node: Node
    box: Box
    href: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole map. Its measures are of its own; whoever shows it scales it."""

    nodes: tuple[DrawnNode, ...]
    links: tuple[DrawnLink, ...]
    width: float
    height: float


def drawing(graph: Graph) -> Drawing:
    """Every node and link in its place; those in trouble last, so that nothing lies over them."""
    sizes = {node.name: _size(node) for node in graph.nodes}
    made = layout(sizes, [(link.caller, link.callee) for link in graph.links])
    boxes = {name: Box(box.x + _MARGIN, box.y + _MARGIN, box.width, box.height) for name, box in made.boxes.items()}
    links = _drawn(graph.links, made, list(boxes.values()))
    nodes = [DrawnNode(node, boxes[node.name], _page_of(node)) for node in graph.nodes]
    return Drawing(tuple(nodes), tuple(links), made.width + 2 * _MARGIN, made.height + 2 * _MARGIN)


def _size(node: Node) -> Size:
    return _TOPIC if node.kind == "topic" else Size(_WIDTH, _HEAD + _ROW * len(node.stores))


def _page_of(node: Node) -> str:
    return "/events" if node.kind == "topic" else f"/services/{quote(node.name)}"


def _drawn(links: Iterable[Link], made: Layout, taken: list[Box]) -> list[DrawnLink]:
    taken = list(taken)
    found: list[DrawnLink] = []
    for link in sorted(links, key=lambda each: ("idle", "good", "warn", "bad").index(each.health)):
        if link.caller == link.callee:
            continue
        points = [(x + _MARGIN, y + _MARGIN) for x, y in made.lines[link.caller, link.callee]]
        text = _text(link)
        width = len(text) * _CHARACTER + 10
        label = _place(points, width, taken) if text else (0.0, 0.0)
        if text:
            taken.append(_around(label, width))
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
    return "/traces?" + urlencode({"service": service, **({"failed": "1"} if link.figures.errors else {})})


def _place(points: Sequence[Point], width: float, taken: Sequence[Box]) -> Point:
    """The first place on the line where the label covers nothing, or the least."""
    candidates = [_on(points, along) for along in _ALONG]
    return min(candidates, key=lambda at: sum(_overlap(_around(at, width), box) for box in taken))


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


def summary(figures: Figures) -> str:
    """What a node says of itself."""
    if not figures.calls:
        return "quiet"
    return f"{rate(figures.rate)} · {milliseconds(figures.p99)}"
