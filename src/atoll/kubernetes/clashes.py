"""What a system has under one name: nothing twice, for whatever is applied later would take the place of the other."""

from collections.abc import Iterator
from dataclasses import replace

from atoll.errors import BAD_ENVIRONMENT, Problem
from atoll.kubernetes.names import COLLECTOR, GATEWAY, NATS, POSTGRES, SETUP, Object, Target
from atoll.kubernetes.objects import key_of, mapping
from atoll.kubernetes.render import parts_of


def clashes(target: Target) -> Iterator[Problem]:
    """Objects of one kind and name, and pods with one label `app`; of an environment that has no other mistake.

    By that label a Service and a policy find their pods, and containers of Compose are called after it.
    """
    names = [*(each.name for each in target.members), POSTGRES, NATS, GATEWAY, SETUP, COLLECTOR]
    imagined = replace(target, images={name: name for name in names})
    origins: dict[str, str] = {}
    found: dict[tuple[str, str], list[str]] = {}
    for part, made in parts_of(imagined).items():
        for each in (one for made_one in made for one in _kept(made_one)):
            first = origins.setdefault(each, part)
            if first != part:
                found.setdefault((first, part), []).append(each)
    for (first, second), shared in found.items():
        member = target.member(second) or target.member(first)
        assert member is not None
        other = first if member.name == second else second
        whose = f"the member {other!r}" if target.member(other) else f"atoll itself ({other})"
        yield BAD_ENVIRONMENT.at(
            member.place,
            entry=f"the member {member.name!r}",
            reason=f"would have what {whose} has already: {', '.join(shared)}",
            do="call it otherwise",
        )


def _kept(made: Object) -> Iterator[str]:
    yield str(key_of(made))
    app = mapping(made, "spec", "template", "metadata", "labels").get("app")
    if app is not None:
        yield f"pods of app={app}"
