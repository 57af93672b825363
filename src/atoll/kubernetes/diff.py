"""What an object would become, line by line, beside what it is."""

import difflib

from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import key_of, mapping
from atoll.kubernetes.text import yaml

_BY_THE_SERVER = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def meant(made: Object) -> Object:
    """An object without what the API server keeps in it for itself."""
    kept = {name: value for name, value in made.items() if name != "status"}
    described = {name: value for name, value in mapping(made, "metadata").items() if name not in _BY_THE_SERVER}
    return {**kept, "metadata": described}


def difference(before: Object | None, after: Object) -> list[str]:
    """A unified diff, [] if both say the same. before: None if there was nothing."""
    if before is not None and meant(before) == meant(after):
        return []
    old = yaml([meant(before)]).splitlines()[1:] if before is not None else []
    new = yaml([meant(after)]).splitlines()[1:]
    name = str(key_of(after))
    return list(difflib.unified_diff(old, new, name if before is not None else "nothing", name, lineterm="", n=2))
