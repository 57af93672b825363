"""What of a large system is drawn."""

from hypothesis import given
from hypothesis import strategies as st

from atoll.collector.values import Edge, Figures
from atoll.dashboard.crowd import LINKS, NODES, OTHERS, STORES, STRANGERS, Crowd, crowd
from atoll.dashboard.drawing import drawing
from atoll.dashboard.graph import Graph, Link, Node, Seen, Store, graph


def figures(calls: int, errors: int = 0) -> Figures:
    return Figures(calls, errors, calls / 60, errors / calls if calls else 0.0, 2.0, calls / 10)


def star(count: int) -> Graph:
    """One that asks so many others, the later the more often."""
    return graph(Seen(edges=[Edge("front", f"h{number:04}", "call", figures(1 + number)) for number in range(count)]))


def link(found: Crowd, caller: str, callee: str) -> Link:
    return next(each for each in found.graph.links if (each.caller, each.callee) == (caller, callee))


def test_a_system_that_can_be_drawn_is_drawn_as_it_is() -> None:
    found = star(STRANGERS - 1)
    assert crowd(found) == Crowd(found)
    declared = Graph(tuple(Node(f"s{number}", "service", declared=True) for number in range(NODES)), ())
    assert crowd(declared) == Crowd(declared)
    assert drawing(crowd(declared)).is_tall


def test_of_many_the_busiest_are_drawn_and_one_node_stands_for_all_others() -> None:
    found = crowd(star(3_000))
    left = 3_000 - STRANGERS + 1
    names = [node.name for node in found.graph.nodes]
    assert names == ["front", *(f"h{number:04}" for number in range(left, 3_000)), OTHERS]
    assert found.nodes_left == left
    others = link(found, "front", OTHERS)
    assert others.figures.calls == left * (left + 1) // 2
    assert others.figures.p99 == left / 10
    drawn = drawing(found)
    assert [node.says for node in drawn.nodes if node.node.name == OTHERS] == [f"{found.nodes_left} more"]
    assert [each.href for each in drawn.links if each.link.callee == OTHERS] == ["/traces?"]
    assert not drawn.is_tall


def test_what_is_declared_or_fails_is_drawn_though_others_are_busier() -> None:
    quiet = Node("quiet", "service", declared=True)
    bad = Node("bad", "service", figures(1, 1), "bad")
    gateway = Node("gateway", "gateway")
    strangers = [Node(f"h{number}", "service", figures(1_000), "good") for number in range(9)]
    found = crowd(Graph((*strangers, bad, quiet, gateway), ()), nodes=4)
    assert [node.name for node in found.graph.nodes] == ["h0", "bad", "quiet", "gateway", OTHERS]
    many = [Node(f"s{number}", "service", declared=True) for number in range(NODES + 1)]
    assert crowd(Graph((*strangers, *many), ())).nodes_left == len(strangers) + 1
    assert crowd(Graph((*strangers, bad, quiet, gateway), ()), nodes=2).graph.nodes[-1].health == "bad"


def test_lines_between_others_are_none_and_what_is_wrong_with_one_shows_on_theirs() -> None:
    nodes = tuple(Node(name, "service", figures(calls)) for name, calls in (("a", 9), ("b", 1), ("c", 1)))
    links = (
        Link("b", "c", "call", figures(1), "good"),
        Link("a", "b", "call", figures(4), "good"),
        Link("a", "c", "call", figures(4, 1), "bad", "open"),
    )
    found = crowd(Graph(nodes, links), nodes=1)
    (both,) = found.graph.links
    assert (both.caller, both.callee, both.health, both.breaker) == ("a", OTHERS, "bad", "open")
    assert both.figures.error_rate == 1 / 8


def test_of_too_many_lines_those_in_trouble_and_the_busiest_are_drawn() -> None:
    edges = [Edge(f"a{one}", f"b{other}", "call", figures(one + other + 1)) for one in range(30) for other in range(30)]
    edges[0] = Edge("a0", "b0", "call", figures(10, 10))
    found = crowd(graph(Seen(edges=edges)), strangers=60)
    assert (len(found.graph.links), found.links_left) == (LINKS, 900 - LINKS)
    assert link(found, "a0", "b0").health == "bad"
    assert link(found, "a29", "b29").figures.calls == 59


def test_of_too_many_databases_some_are_drawn() -> None:
    stores = tuple(Store(f"s{number}", figures(number + 1), "good") for number in range(3_000))
    (node,) = crowd(Graph((Node("a", "service", stores=stores),), ())).graph.nodes
    assert [store.name for store in node.stores] == ["s2999", "s2998", "s2997", OTHERS]
    assert len(node.stores) == STORES
    assert node.stores[-1].figures.calls == 2_997 * 2_998 // 2


NAMES = st.sampled_from(["gateway", OTHERS, *(f"s{number}" for number in range(12))])
KINDS = st.sampled_from(["call", "publish", "consume", "database"])
EDGES = st.lists(st.builds(Edge, NAMES, NAMES, KINDS, st.builds(figures, st.integers(1, 99))), max_size=60)


@given(edges=EDGES, nodes=st.integers(1, 14), links=st.integers(1, 60), strangers=st.integers(1, 9))
def test_whatever_was_seen_there_are_no_more_than_may_be_and_none_is_lost(
    edges: list[Edge], nodes: int, links: int, strangers: int
) -> None:
    seen = graph(Seen(edges=edges))
    found = crowd(seen, nodes, links, strangers)
    names = [node.name for node in found.graph.nodes]
    assert len(names) == len(set(names)) <= nodes + 1
    assert len(found.graph.links) <= links
    assert found.nodes_left == (len(seen.nodes) - len(names) + 1 if found.nodes_left else 0)
    assert {name for each in found.graph.links for name in (each.caller, each.callee)} <= set(names)
    assert len(drawing(found).nodes) == len(names)
