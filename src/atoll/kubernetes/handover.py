"""Who says how many pods there are, when that passes from the declaration to an autoscaler."""

from atoll.kubernetes.names import MANAGER, Object
from atoll.kubernetes.objects import items, mapping

_FIELD = "replicas"


def handed_over(made: Object, live: Object | None) -> Object:
    """The part of what is there that another has to hold before `made` is applied, which names it no more; or {}.

    A field that its only manager stops to name is unset, and its default takes its place.
    Source: kubernetes.io, Server-Side Apply, "Transferring ownership between managers".
    """
    spec = mapping(live, "spec")
    if live is None or _FIELD not in spec or _FIELD in mapping(made, "spec") or not _is_ours(live):
        return {}
    return {"spec": {_FIELD: spec[_FIELD]}}


def merged(made: Object, count: Object) -> Object:
    """An object with this part."""
    return {**made, "spec": {**mapping(made, "spec"), **mapping(count, "spec")}} if count else made


def _is_ours(live: Object) -> bool:
    managers = items(live, "metadata", "managedFields")
    return any(
        each.get("manager") == MANAGER and f"f:{_FIELD}" in mapping(each, "fieldsV1", "f:spec") for each in managers
    )
