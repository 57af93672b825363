"""Claims of volumes: what another size or class means for one that is there; touching nothing.

A claim may grow where its class allows it. It never shrinks, and keeps its class.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from atoll.errors import VOLUME_FIXED, Problem
from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import Key, items, key_of, mapping
from atoll.kubernetes.quantities import bytes_of

_CLAIM = "PersistentVolumeClaim"
_STATEFUL = "StatefulSet"
_TEMPLATES = "volumeClaimTemplates"
_CLASS = "storageClassName"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is asked for. storage_class: "" leaves it to the cluster."""

    key: Key
    storage: str
    storage_class: str

    @property
    def bytes(self) -> int:
        return bytes_of(self.storage)

    def grown(self) -> Object:
        """The part of it that may change."""
        return {
            "apiVersion": "v1",
            "kind": _CLAIM,
            "metadata": {"name": self.key.name},
            "spec": {"resources": {"requests": {"storage": self.storage}}},
        }


def claims_of(made: Object) -> list[Claim]:
    """What an object claims: itself, or a StatefulSet for each of its pods."""
    if made["kind"] == _CLAIM:
        return [_claim(key_of(made).name, made)]
    count = mapping(made, "spec").get("replicas", 1)
    return [
        _claim(f"{mapping(template, 'metadata')['name']}-{key_of(made).name}-{number}", template)
        for template in items(made, "spec", _TEMPLATES)
        for number in range(count if isinstance(count, int) else 1)
    ]


def unfit(claim: Claim, there: Object) -> Problem | None:
    """Why what is there can't become what is asked for, whatever the cluster allows."""
    found = _claim(claim.key.name, there)
    if claim.storage_class and claim.storage_class != found.storage_class:
        return VOLUME_FIXED.at(
            claim=claim.key.name,
            there=f"the class {found.storage_class}",
            wanted=claim.storage_class,
            reason="a volume keeps its class",
            do=f'write storage_class = "{found.storage_class}"; a volume of another class begins empty: '
            "save what this one holds, `atoll destroy --data`, deploy, and bring it back",
        )
    if claim.bytes < found.bytes:
        return VOLUME_FIXED.at(
            claim=claim.key.name,
            there=found.storage,
            wanted=claim.storage,
            reason="a volume never shrinks",
            do=f'write "{found.storage}" for it in the environment, or more',
        )
    return None


def is_larger(claim: Claim, there: Object) -> bool:
    """Whether more is asked for than is there."""
    return claim.bytes > _claim(claim.key.name, there).bytes


def refused(claim: Claim, there: Object, said: str) -> Problem:
    """That the cluster does not make it larger."""
    found = _claim(claim.key.name, there).storage
    return VOLUME_FIXED.at(
        claim=claim.key.name,
        there=found,
        wanted=claim.storage,
        reason="the cluster does not let it grow",
        do=f'write "{found}" for it in the environment; or ask who runs the cluster for a class with '
        "allowVolumeExpansion, and for the right to change claims",
        detail=said,
    )


def as_there(made: Object, live: Object | None) -> Object:
    """An object with the claims of the one that is there."""
    if live is None:
        return made
    if made["kind"] == _CLAIM:
        return _with(made, "resources", mapping(live, "spec", "resources"))
    return _with(made, _TEMPLATES, items(live, "spec", _TEMPLATES)) if made["kind"] == _STATEFUL else made


def as_asked(live: Object, made: Object) -> Object:
    """A StatefulSet of the cluster's with the claims that it is to have.

    Where that is another one it has to be made anew: the API server keeps the claims of one as they were first.
    """
    asked = {str(mapping(each, "metadata")["name"]): _claim("", each) for each in items(made, "spec", _TEMPLATES)}
    templates = items(live, "spec", _TEMPLATES)
    return _with(live, _TEMPLATES, [_filled(each, asked) for each in templates])


def _filled(template: Object, asked: Mapping[str, Claim]) -> Object:
    """As it is, where that says the same in other words."""
    claim = asked.get(str(mapping(template, "metadata")["name"]))
    if claim is None:
        return template
    if claim.bytes != _claim("", template).bytes:
        template = _with(template, "resources", mapping(claim.grown(), "spec", "resources"))
    return _with(template, _CLASS, claim.storage_class) if claim.storage_class else template


def _claim(name: str, made: Object) -> Claim:
    requests = mapping(made, "spec", "resources", "requests")
    return Claim(Key(_CLAIM, name), str(requests["storage"]), str(mapping(made, "spec").get(_CLASS) or ""))


def _with(made: Object, name: str, value: object) -> Object:
    return {**made, "spec": {**mapping(made, "spec"), name: value}}
