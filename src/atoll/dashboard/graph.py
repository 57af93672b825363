"""The call graph as it is lived: who asks whom, how well that goes, and what of it is wrong. Touches nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from atoll.collector.values import Edge, Figures, Series, ServiceSummary
from atoll.dashboard.alertmanager import Alert
from atoll.dashboard.words import share
from atoll.supervisor.status import ProcessStatus, process_called
from atoll.wire.description import Description

Health = Literal["good", "idle", "warn", "bad"]
"""idle: nothing was asked. warn: something fails now and then. bad: look here."""

HEALTHS: Sequence[Health] = ("idle", "good", "warn", "bad")
"""The worst last."""

BAD_SHARE = 0.01
"""Of calls in vain, from which on somebody should look."""

LAGS = 100
"""Events that wait for a consumer, from which on it lags."""

NodeKind = Literal["gateway", "service", "topic", "external", "others"]
"""others: all that has no node of its own."""

GATEWAY = "gateway"
_DEEPEST = 32
"""Services that ask one another in a row, between which causes are told from what they cause."""

_BREAKERS = ("", "half-open", "open")
_ON_ITS_WAY = ("left out", "preparing", "starting", "stopping")
"""States of a process that are no alarm by themselves; a reason why it does not come out of one is."""


@dataclass(frozen=True, slots=True)
class Store:
    """A database as a service uses it. Each has its own, so it is drawn with its service."""

    name: str
    figures: Figures
    health: Health


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many processes of a service there are, and how many of them serve."""

    ready: int
    all: int


@dataclass(frozen=True, slots=True)
class Node:
    """What stands on the map.

    notes: what is wrong, in words; that requests fail is the last of them. alerts: that page somebody because of it.
    replicas: None where nobody tells. senders: replicas that have sent anything. declared: and not only seen.
    by_callers: the figures are theirs, for it tells nothing of itself: a program of any language, or an external.
    """

    name: str
    kind: NodeKind
    figures: Figures = field(default_factory=Figures)
    health: Health = "idle"
    stores: tuple[Store, ...] = ()
    replicas: Replicas | None = None
    notes: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    declared: bool = False
    by_callers: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Who asks whom. breaker: "" while it is closed. lag: events that wait."""

    caller: str
    callee: str
    kind: Literal["call", "publish", "consume"]
    figures: Figures
    health: Health
    breaker: str = ""
    lag: int = 0


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything that asked or was asked, or could be. alerts: for which somebody is paged, also of what is no node."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    alerts: tuple[str, ...] = ()

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is wrong by figures and processes, a sentence each.

        First of breakers: they open beside the cause. Then of processes; then of what fails by itself, before what
        asks it and so fails with it.
        """
        bad = [link for link in self.links if link.health == "bad"]
        above = _above([link for link in bad if link.kind == "call"])
        found: list[tuple[int, int, int, str]] = []
        for node in self.nodes:
            said = [f"{node.name}: {note}" for note in node.notes]
            if health(node.figures) == "bad" and not node.by_callers:
                found.append((2, above.get(node.name, 0), 0, said.pop()))
            found += [(1, 0, 0, note) for note in said]
        for link in bad:
            sentence = f"{link.caller} → {link.callee}: {told(link)}"
            found.append((2 if not link.breaker else 0, above.get(link.callee, 0), 1, sentence))
        return tuple(sentence for *_, sentence in sorted(found, key=lambda each: each[:3]))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store knows of a window of time. breakers, lags: the last values of their metrics."""

    services: Sequence[ServiceSummary] = ()
    edges: Sequence[Edge] = ()
    breakers: Sequence[Series] = ()
    lags: Sequence[Series] = ()


def health(figures: Figures) -> Health:
    if not figures.calls:
        return "idle"
    if not figures.errors:
        return "good"
    return "bad" if figures.error_rate >= BAD_SHARE else "warn"


def together(figures: Iterable[Figures]) -> Figures:
    """All as one; the quantiles are the worst of theirs."""
    every = list(figures)
    calls, errors = sum(each.calls for each in every), sum(each.errors for each in every)
    return Figures(
        calls,
        errors,
        sum(each.rate for each in every),
        errors / calls if calls else 0.0,
        max((each.p50 for each in every), default=0.0),
        max((each.p99 for each in every), default=0.0),
    )


def _above(bad: Sequence[Link]) -> Mapping[str, int]:
    """How many calls that fail are, at most, between a caller and what fails by itself."""
    found: dict[str, int] = {}
    for _ in range(min(len(bad), _DEEPEST)):  # services that ask each other come to an end too
        before = dict(found)
        for link in bad:
            found[link.caller] = max(found.get(link.caller, 0), found.get(link.callee, 0) + 1)
        if found == before:
            break
    return found


def told(link: Link) -> str:
    """What is wrong with a link."""
    found = [f"{share(link.figures.error_rate)} of calls fail"] if health(link.figures) == "bad" else []
    found += [f"the breaker is {link.breaker}"] if link.breaker else []
    found += [f"{link.lag} events wait"] if link.lag >= LAGS else []
    return ", ".join(found)


def graph(
    seen: Seen,
    processes: Sequence[ProcessStatus] = (),
    description: Description | None = None,
    alerts: Sequence[Alert] = (),
) -> Graph:
    """What was seen, with what is declared, what runs and who is paged, where that is known."""
    paging = [each for each in alerts if each.is_page and each.status.state == "active"]
    databases: dict[str, list[Edge]] = {}
    for edge in seen.edges:
        if edge.kind == "database":
            databases.setdefault(edge.caller, []).append(edge)
    paged: dict[str, list[str]] = {}
    for alert in paging:
        paged.setdefault(alert.labels.get("service", ""), []).append(alert.sentence)
    links = _links(seen, description)
    served = {each.service: each for each in seen.services}
    names = _names(links, seen, databases, description)
    topics = {link.callee for link in links if link.kind == "publish"}
    topics |= {link.caller for link in links if link.kind == "consume"}
    declared = {name for caller, callee, _ in _declared(description) for name in (caller, callee)}
    declared |= {each.name for each in description.members} if description else set()
    externals = {each.name for each in description.members if each.kind == "external"} if description else set()
    nodes: list[Node] = []
    for name in names:
        kind: NodeKind = (
            "topic"
            if name in topics
            else "external"
            if name in externals
            else "gateway"
            if name == GATEWAY
            else "service"
        )
        own = served.get(name, ServiceSummary(name, Figures()))
        is_silent = not own.figures.calls and kind in ("service", "external")
        asked = [link.figures for link in links if link.callee == name and link.kind == "call"] if is_silent else []
        figures = together(asked) if asked else own.figures
        own_processes = processes_of(name, processes)
        replicas = _replicas(own_processes)
        # What its callers see fail is told of their calls.
        notes = _notes(own.figures, own_processes)
        stores = tuple(Store(edge.callee, edge.figures, health(edge.figures)) for edge in databases.get(name, ()))
        alarms = tuple(paged.get(name, ()))
        state: Health = "bad" if notes or alarms else health(figures)
        told = (name in declared, bool(asked) and bool(figures.calls))
        nodes.append(Node(name, kind, figures, state, stores, replicas, notes, own.replicas, alarms, *told))
    return Graph(tuple(nodes), tuple(links), tuple(each.sentence for each in paging))


def _links(seen: Seen, description: Description | None) -> list[Link]:
    breakers = _latest(seen.breakers, lambda each: (each.service, str(each.attributes.get("destination", ""))))
    lags = _latest(seen.lags, lambda each: (str(each.attributes.get("messaging.destination.name", "")), each.service))
    found: dict[tuple[str, str], Link] = {}
    for edge in seen.edges:
        if edge.kind == "database":
            continue
        pair = (edge.caller, edge.callee)
        kind: Literal["call", "publish", "consume"] = (
            "publish" if edge.kind == "publish" else "consume" if edge.kind == "consume" else "call"
        )
        breaker = _BREAKERS[int(min(max(breakers.get(pair, 0.0), 0.0), 2.0))] if kind == "call" else ""
        lag = int(lags.get(pair, 0.0)) if kind == "consume" else 0
        # Half-open is no better than open: one call a second is let through, to try.
        is_bad = bool(breaker) or lag >= LAGS
        found[pair] = Link(*pair, kind, edge.figures, "bad" if is_bad else health(edge.figures), breaker, lag)
    for caller, callee, kind in _declared(description):
        found.setdefault((caller, callee), Link(caller, callee, kind, Figures(), "idle"))
    return [found[pair] for pair in sorted(found)]


def _declared(description: Description | None) -> Iterable[tuple[str, str, Literal["call", "publish", "consume"]]]:
    if description is None:
        return
    for name in description.gateway.expose if description.gateway else ():
        yield GATEWAY, name, "call"
    for member in description.members:
        for call in member.calls:
            yield member.name, call.to, "call"
        for topic in member.publishes:
            yield member.name, topic, "publish"
        for consumer in member.consumes:
            yield consumer.topic, member.name, "consume"


def _names(links: Iterable[Link], seen: Seen, callers: Iterable[str], description: Description | None) -> list[str]:
    """The gateway first, then what is declared in its order, then what was only seen."""
    found = [each.name for each in description.members] if description else []
    found += [name for link in links for name in (link.caller, link.callee)]
    found += [each.service for each in seen.services]
    found += callers
    first = [GATEWAY] if GATEWAY in found else []
    return list(dict.fromkeys([*first, *found]))


def _latest(series: Iterable[Series], key: Callable[[Series], tuple[str, str]]) -> Mapping[tuple[str, str], float]:
    """The worst of the last values that the replicas of one service tell."""
    found: dict[tuple[str, str], float] = {}
    for each in series:
        if each.points:
            found[key(each)] = max(found.get(key(each), 0.0), each.points[-1][1])
    return found


def processes_of(name: str, processes: Sequence[ProcessStatus]) -> tuple[ProcessStatus, ...]:
    """Of a service; of the gateway Envoy's."""
    return tuple(each for each in processes if each.service == process_called(name))


def _replicas(processes: Sequence[ProcessStatus]) -> Replicas | None:
    if not processes:
        return None
    return Replicas(sum(each.state == "ready" for each in processes), len(processes))


def _notes(figures: Figures, processes: Sequence[ProcessStatus]) -> tuple[str, ...]:
    away = [each for each in processes if each.state != "ready" and _is_alarm(each)]
    notes = [f"{each.name} is {each.state}: {each.waits_for or each.reason}".rstrip(": ") for each in away[:1]]
    notes += [f"{each.name} {each.fault}, on purpose" for each in processes if each.fault]
    notes += [f"{share(figures.error_rate)} of requests fail"] if health(figures) == "bad" else []
    return tuple(notes)


def _is_alarm(process: ProcessStatus) -> bool:
    return process.state not in _ON_ITS_WAY or (process.state != "left out" and bool(process.reason))
