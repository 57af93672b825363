"""The oldest Kubernetes that takes what is rendered."""

import re

from atoll.errors import CLUSTER_TOO_OLD, Problem

OLDEST = (1, 30)
"""Since then a pod's end may wait by `preStop.sleep`; an older one refuses that (decision 0008)."""

_VERSION = re.compile(r"v(\d+)\.(\d+)")


def version_problem(version: str) -> Problem | None:
    """What is wrong with a cluster of this version, such as "v1.29.4-gke.100"; None also where it tells none."""
    found = _VERSION.match(version)
    if found is None or (int(found[1]), int(found[2])) >= OLDEST:
        return None
    return CLUSTER_TOO_OLD.at(version=version, oldest=".".join(map(str, OLDEST)))
