"""What of a large system is drawn: of what is left over one node stands for all. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from atoll.dashboard.graph import HEALTHS, Graph, Health, Link, Node, Store, together

OTHERS = "(others)"

NODES = 150
"""That are drawn at most: the gateway, then what is declared, then what is bad, then the busiest."""

STRANGERS = 16
"""Of these, that are not declared: more would hide what is."""

LINKS = 400
"""Lines that are drawn at most: those in trouble, then the busiest."""

STORES = 4
"""Databases that are drawn of one service at most: those in trouble, then the busiest."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """A graph that can be drawn. nodes_left: those behind (others). links_left: those that have no line."""

    graph: Graph
    nodes_left: int = 0
    links_left: int = 0


def crowd(graph: Graph, nodes: int = NODES, links: int = LINKS, strangers: int = STRANGERS) -> Crowd:
    """The graph with so many nodes and links at most, and so many strangers; a smaller one is as it was."""
    drawn = foremost(graph, nodes, strangers)
    names = {node.name for node in drawn}
    left = [node for node in graph.nodes if node.name not in names]
    found = _joined(graph.links, names) if left else list(graph.links)
    kept = sorted(found, key=lambda link: (-HEALTHS.index(link.health), -link.figures.calls))[:links]
    pairs = {(link.caller, link.callee) for link in kept}
    shown = [replace(node, stores=_fewer(node.stores)) for node in drawn]
    if left:
        shown.append(
            Node(OTHERS, "others", together(node.figures for node in left), _worst(each.health for each in left))
        )
    lines = tuple(link for link in found if (link.caller, link.callee) in pairs)
    return Crowd(Graph(tuple(shown), lines, graph.alerts), len(left), len(found) - len(lines))


def foremost(graph: Graph, most: int, strangers: int) -> list[Node]:
    """So many nodes at most, and of those that are not declared, in their order."""
    known = sum(_is_known(node) for node in graph.nodes)
    if len(graph.nodes) <= most and len(graph.nodes) - known <= strangers:
        return list(graph.nodes)
    calls: dict[str, int] = {node.name: node.figures.calls for node in graph.nodes}
    for link in graph.links:
        for name in (link.caller, link.callee):
            calls[name] = max(calls.get(name, 0), link.figures.calls)

    def rank(node: Node) -> tuple[bool, bool, bool, int]:
        return node.kind != "gateway", not node.declared, node.health != "bad", -calls[node.name]

    first = sorted(graph.nodes, key=rank)[: min(most, known + strangers)]
    # Whoever is called like what stands for the others is one of them.
    names = {node.name for node in first} - {OTHERS}
    return [node for node in graph.nodes if node.name in names]


def _is_known(node: Node) -> bool:
    return node.declared or node.kind == "gateway"


def _joined(links: Iterable[Link], names: set[str]) -> list[Link]:
    """With all that lead to others, or come from them, as one."""
    found: dict[tuple[str, str], list[Link]] = {}
    for link in links:
        caller, callee = (name if name in names else OTHERS for name in (link.caller, link.callee))
        if not caller == callee == OTHERS:
            found.setdefault((caller, callee), []).append(link)
    return [_join(pair, each) if OTHERS in pair else each[0] for pair, each in found.items()]


def _join(pair: tuple[str, str], links: Sequence[Link]) -> Link:
    kinds = {link.kind for link in links}
    return Link(
        *pair,
        links[0].kind if len(kinds) == 1 else "call",
        together(link.figures for link in links),
        _worst(link.health for link in links),
        next((link.breaker for link in links if link.breaker), ""),
        max(link.lag for link in links),
    )


def _fewer(stores: Sequence[Store]) -> tuple[Store, ...]:
    if len(stores) <= STORES:
        return tuple(stores)
    first = sorted(stores, key=lambda store: (-HEALTHS.index(store.health), -store.figures.calls))
    left = first[STORES - 1 :]
    others = Store(OTHERS, together(store.figures for store in left), _worst(store.health for store in left))
    return (*first[: STORES - 1], others)


def _worst(healths: Iterable[Health]) -> Health:
    return max(healths, key=HEALTHS.index, default="idle")
