"""What others have changed in a cluster of what we applied; read from who manages which field, touching nothing.

Such as this part of an object, which says that somebody's kubectl set the image of a container:

    {"manager": "kubectl-set", "operation": "Update", "time": "2026-11-26T15:40:00Z",
     "fieldsV1": {"f:spec": {"f:template": {"f:spec": {
         "f:containers": {"k:{\\"name\\":\\"users\\"}": {"f:image": {}}}}}}}}

Source: kubernetes.io, Server-Side Apply; sigs.k8s.io/structured-merge-diff, "fieldpath".
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from atoll.kubernetes.names import HOLDER, MANAGER, Object
from atoll.kubernetes.objects import Key, items, key_of, mapping

_OURS = frozenset({MANAGER, HOLDER})
# What these do is what we asked for.
_OF_THE_CLUSTER = frozenset({"kube-controller-manager", "kube-apiserver", "kubelet", "kube-scheduler"})
_SOMEBODY = "somebody"
"""The API server does not keep who removed a field."""

_MISSING = object()
_REPLICAS = "spec.replicas"


@dataclass(frozen=True, slots=True)
class Drift:
    """One field that is another's doing. by: such as "kubectl-edit". time: when, as RFC 3339 has it, or ""."""

    key: Key
    field: str
    how: Literal["changed", "removed", "added"]
    by: str
    time: str = ""

    @property
    def is_taken_back(self) -> bool:
        """Whether it becomes what is declared; what nothing declared names stays."""
        return self.how != "added"

    def __str__(self) -> str:
        when = f" at {self.time}" if self.time else ""
        ends = "and is taken back" if self.is_taken_back else "and stays, for nothing declared names it"
        return f"{self.key}: {self.field} was {self.how} by {self.by}{when}, {ends}"


@dataclass(frozen=True, slots=True)
class _Place:
    """A field as it is, as it will be, and which fields below are ours: before, and after."""

    path: str
    live: object
    after: object
    held: Object | None
    holds: Object | None


def drift(live: Object, after: Object, *, is_as_deployed: bool = False) -> list[Drift]:
    """What others have done to an object that is there, and what our next apply does to it.

    after: what the API server made of that apply when it was tried. is_as_deployed: the declaration of it is what was
    applied last, so that a field which is not there was removed.
    """
    begin = _Place("", live, after, _fields_of_ours(live), _fields_of_ours(after))
    found: dict[tuple[str, str], Drift] = {}
    for each in items(live, "metadata", "managedFields"):
        by = str(each.get("manager", ""))
        if by in _OURS | _OF_THE_CLUSTER or each.get("subresource") == "status":
            continue
        for path, is_ours in _differences(begin, mapping(each, "fieldsV1")):
            how: Literal["changed", "added"] = "changed" if is_ours else "added"
            found[path, by] = Drift(key_of(live), path, how, by, str(each.get("time", "")))
    if is_as_deployed:
        found |= {
            (path, ""): Drift(key_of(live), path, "removed", _SOMEBODY) for path in _lost(begin, begin.holds or {})
        }
    return sorted(found.values(), key=lambda each: (not each.is_taken_back, each.field, each.by))


def _lost(place: _Place, fields: Object) -> Iterator[str]:
    """What we name, will be there, and is not."""
    for name, below in fields.items():
        if name == "." or not isinstance(below, dict):
            continue
        there = _below(place, name)
        if there.live is not _MISSING:
            yield from _lost(there, below)
        elif there.after is not _MISSING:
            yield there.path


def _differences(place: _Place, fields: Object) -> Iterator[tuple[str, bool]]:
    """What is another's, and whether we name it too."""
    for name, below in fields.items():
        if name == "." or not isinstance(below, dict):
            continue
        there = _below(place, name)
        if there.live is _MISSING:
            continue
        is_end = not below
        if there.holds is None and (is_end or not name.startswith("f:")):
            if not _is_no_concern(there.path) and there.after is not _MISSING:
                yield there.path, False
        elif is_end:
            # What we hold as well is as we left it: another merely said the same.
            if there.held is None and there.live != there.after:
                yield there.path, True
        else:
            yield from _differences(there, below)


def _is_no_concern(path: str) -> bool:
    """Labels and notes are everybody's; the number of pods is an autoscaler's, or of who scales by hand."""
    return path == _REPLICAS or path.startswith(("metadata.", "status.")) or ".metadata.annotations." in path


def _below(place: _Place, name: str) -> _Place:
    kind, _, rest = name.partition(":")
    path = f"{place.path}.{rest}".lstrip(".") if kind == "f" else f"{place.path}[{_title(kind, rest)}]"
    held, holds = (each.get(name) if each is not None else None for each in (place.held, place.holds))
    return _Place(
        path,
        _step(place.live, kind, rest),
        _step(place.after, kind, rest),
        held if isinstance(held, dict) else None,
        holds if isinstance(holds, dict) else None,
    )


def _title(kind: str, rest: str) -> str:
    """How an item of a list is called: by its name where it has one."""
    if kind != "k":
        return rest
    keys: dict[str, object] = json.loads(rest)
    return str(keys["name"]) if "name" in keys else ", ".join(str(each) for each in keys.values())


def _step(value: object, kind: str, rest: str) -> object:
    """What lies below: a field, the item of a list with these keys, a value of a set, or an item by its number."""
    if kind == "f":
        return value.get(rest, _MISSING) if isinstance(value, dict) else _MISSING
    if not isinstance(value, list):
        return _MISSING
    if kind == "i":
        return value[int(rest)] if int(rest) < len(value) else _MISSING
    wanted = json.loads(rest)
    if kind == "v":
        return wanted if wanted in value else _MISSING
    return next((each for each in value if isinstance(each, dict) and wanted.items() <= each.items()), _MISSING)


def _fields_of_ours(made: Object) -> Object:
    found = [each for each in items(made, "metadata", "managedFields") if each.get("manager") == MANAGER]
    return mapping(next((each for each in found if each.get("operation") == "Apply"), None), "fieldsV1")
