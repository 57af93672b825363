"""`atoll graph`."""

import asyncio
import json
from collections.abc import Iterator, Sequence

import click

from atoll.cli.options import json_option, target_argument
from atoll.cli.project import find_target
from atoll.wire.description import Description, MemberData


@click.command("graph")
@target_argument
@json_option
def command(target: str | None, as_json: bool) -> None:
    """Show who calls whom, and which events go where. A cycle of calls is allowed, and shown."""
    description = asyncio.run(find_target(target).project().describe())
    if as_json:
        click.echo(json.dumps(_as_data(description)))
        return
    for line in lines(description):
        click.echo(line)


def _as_data(description: Description) -> dict[str, object]:
    consumers = _consumers(description)
    return {
        "system": description.name,
        "members": [{"name": each.name, "kind": each.kind} for each in description.members],
        "calls": [{"from": each.name, "to": to} for each in description.members for to in _called(each)],
        "topics": [
            {"name": topic.name, "from": topic.publisher, "to": consumers.get(topic.name, [])}
            for topic in description.topics
        ],
        "cycles": cycles(description),
    }


def lines(description: Description) -> Iterator[str]:
    """A tree from the gateway, and from whatever else nobody calls."""
    exposed = description.gateway.expose if description.gateway else ()
    called = {to for each in description.members for to in _called(each)}
    roots = [each.name for each in description.members if each.name not in called and each.name not in exposed]
    yield description.name
    shown: set[str] = set()
    if exposed:
        yield "├─ gateway"
        yield from _below(description, exposed, (), "│  ", shown)
    for name in roots:
        yield f"├─ {_titled(description, name)}"
        yield from _below(description, _called(description.member(name)), (name,), "│  ", shown)
    consumers = _consumers(description)
    for topic in description.topics:
        to = ", ".join(consumers.get(topic.name, [])) or "nobody"
        yield f"├─ event {topic.name}: {topic.publisher or 'nobody'} ⇢ {to}"
    for cycle in cycles(description):
        yield f"├─ cycle {' → '.join([*cycle, cycle[0]])}"


def _below(
    description: Description, names: Sequence[str], above: tuple[str, ...], indent: str, shown: set[str]
) -> Iterator[str]:
    for position, name in enumerate(names):
        is_last = position == len(names) - 1
        calls = _called(description.member(name))
        note = "  (a cycle)" if name in above else "  (see above)" if name in shown and calls else ""
        yield f"{indent}{'└─' if is_last else '├─'} {_titled(description, name)}{note}"
        if not note:
            shown.add(name)
            yield from _below(description, calls, (*above, name), indent + ("   " if is_last else "│  "), shown)


def _titled(description: Description, name: str) -> str:
    member = description.member(name)
    if member is None:
        return name
    details: list[str] = [member.kind] if member.kind != "service" else []
    details += ["database"] if member.database else []
    return f"{name} ({', '.join(details)})" if details else name


def _called(member: MemberData | None) -> list[str]:
    return list(dict.fromkeys(call.to for call in member.calls)) if member else []


def _consumers(description: Description) -> dict[str, list[str]]:
    """By topic, the handlers as "email.send"."""
    found: dict[str, list[str]] = {}
    for member in description.members:
        for each in member.consumes:
            found.setdefault(each.topic, []).append(f"{member.name}.{each.method}")
    return found


def cycles(description: Description) -> list[list[str]]:
    """Each cycle of calls once, beginning with its first member in the order of the declaration."""
    order = {member.name: position for position, member in enumerate(description.members)}
    found: list[list[str]] = []

    def follow(path: list[str]) -> None:
        for to in _called(description.member(path[-1])):
            if to == path[0]:
                found.append(path)
            elif to not in path and order.get(to, -1) > order[path[0]]:
                follow([*path, to])

    for member in description.members:
        follow([member.name])
    return found
