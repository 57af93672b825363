"""Storage for claims: folders of the work folder, each a PersistentVolume.

A test cluster has no provisioner, so it has a stock of volumes. One that a claim has left is replaced before the next
run.
"""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import Kubectl, Object
from tests.cluster.place import NODE, Place

STORAGE_CLASS = "local"
# More claims than all tests of a run make together; a claim without a volume stays Pending, and its pod with it.
COUNT = 48
SIZE = "10Gi"


def folder(place: Place, name: str) -> Path:
    return place.folder / "volumes" / name


def storage_class() -> Object:
    """The default class, as a developer's cluster has one. Touches nothing."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume(place: Place, name: str) -> Object:
    """A `local` volume: unlike a hostPath it honours fsGroup, as a cloud's disk does. Touches nothing."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": str(folder(place, name))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def left(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the volumes that claims have left. Touches nothing."""
    return [each["metadata"]["name"] for each in found if each["status"].get("phase") == "Released"]


def stock(place: Place, kubectl: Kubectl) -> None:
    """Remove what claims have left, and make the number of volumes full again."""
    found = kubectl.list("persistentvolumes")
    old = left(found)
    if old:
        kubectl.delete("persistentvolumes", *old)
        for name in old:
            shutil.rmtree(folder(place, name), ignore_errors=True)
    # Never a name again: whoever else does this at the same time cannot meet it.
    new = [f"volume-{uuid.uuid4().hex[:8]}" for _ in range(COUNT - len(found) + len(old))]
    for name in new:
        folder(place, name).mkdir(parents=True)
        # For pods that run as any user and do not ask for the group.
        folder(place, name).chmod(0o777)
    if new:
        kubectl.apply(*(volume(place, name) for name in new))
