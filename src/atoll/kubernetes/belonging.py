"""Whose an object is that has a name of ours already: what is another's is never applied over."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from atoll.errors import OF_ANOTHER, Problem
from atoll.kubernetes.names import MANAGER, Object
from atoll.kubernetes.objects import Key, items, key_of, mapping

_LABELS = ("app.kubernetes.io/part-of", "app.kubernetes.io/managed-by")
"""What whoever applies the rendered files sets: kubectl, Argo CD, Flux, or we."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Foreign:
    """An object that is there, and whose it is."""

    key: Key
    owner: str


def foreign(live: Object | None, made: Object) -> Foreign | None:
    """None if nothing is there, or what was rendered for the same system."""
    there, ours = mapping(live, "metadata", "labels"), mapping(made, "metadata", "labels")
    different = [str(there.get(label, "")) for label in _LABELS if there.get(label) != ours.get(label)]
    if live is None or not different:
        return None
    managers = [str(each.get("manager", "")) for each in items(live, "metadata", "managedFields")]
    # The first that says something: another system, another tool, or whoever wrote the object.
    return Foreign(
        key_of(made), next((each for each in (*different, *managers) if each not in ("", MANAGER)), "somebody else")
    )


def foreign_problems(found: Iterable[Foreign], namespace: str, system: str) -> list[Problem]:
    """One for each owner."""
    by_owner: dict[str, list[Key]] = defaultdict(list)
    for each in found:
        by_owner[each.owner].append(each.key)
    return [
        OF_ANOTHER.at(
            namespace=namespace,
            names=_listed([str(key) for key in keys]),
            owner=owner,
            system=system,
            first=f"{keys[0].kind}/{keys[0].name}".lower(),
        )
        for owner, keys in by_owner.items()
    ]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
