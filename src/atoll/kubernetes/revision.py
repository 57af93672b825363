"""What was deployed: the objects, and the contracts as each service had them; kept in the cluster itself."""

import base64
import gzip
from collections.abc import Mapping, Sequence

import msgspec

from atoll.kubernetes.names import Object, Target, metadata
from atoll.kubernetes.objects import mapping
from atoll.wire.description import ContractData, MemberData
from atoll.wire.schema import REFERENCE, Schema

KEPT = 10
COMPONENT = "revision"
LABEL = "atoll.dev/revision"
PIECE = "atoll.dev/piece"
"""Label of those objects of a revision that only hold more of it."""

LARGEST_PIECE = 900_000
"""Bytes; a ConfigMap takes 1 MiB of content, and what stores it 1.5 MiB of everything."""

_MADE, _NOTE, _PIECES = "atoll.dev/made", "atoll.dev/note", "atoll.dev/pieces"
_FILE = "revision.json.gz"


class Built(msgspec.Struct, frozen=True):
    """The contracts that a service serves and calls, and its topics, as they were when its image was built.

    calls: by the name of the service that it calls. publishes, consumes: events by topic. schemas: those that all of
    them refer to.
    """

    serves: tuple[ContractData, ...] = ()
    calls: dict[str, tuple[ContractData, ...]] = {}
    publishes: dict[str, Schema] = {}
    consumes: dict[str, Schema] = {}
    schemas: dict[str, Schema] = {}


class Entry(msgspec.Struct, frozen=True):
    """A revision as it is listed. number: from 1. note: why it was made. pieces: objects that hold it."""

    number: int
    made: str
    note: str
    pieces: int = 1


class Revision(msgspec.Struct, frozen=True):
    """number: from 1. note: why it was made. parts: objects by part."""

    number: int
    made: str
    note: str
    parts: dict[str, list[Object]]
    built: dict[str, Built] = {}


def built_of(target: Target, member: MemberData) -> Built:
    description = target.description
    served = (description.contract(each) for each in member.contracts)
    calls: dict[str, tuple[ContractData, ...]] = {}
    for call in member.calls:
        contract = description.contract(call.contract)
        if contract is not None:
            calls[call.to] = (*calls.get(call.to, ()), contract)
    serves = tuple(each for each in served if each is not None)
    events = {each.name: each.schema for each in description.topics}
    publishes = {topic: events[topic] for topic in member.publishes}
    consumes = {each.topic: events[each.topic] for each in member.consumes}
    schemas = _used([serves, calls, publishes, consumes], description.schemas)
    return Built(serves, calls, publishes, consumes, schemas)


def _used(described: object, schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """The schemas that contracts and topics refer to, and those that these refer to."""
    prefix = REFERENCE.format(name="")
    found: dict[str, Schema] = {}
    waiting: list[object] = [msgspec.json.decode(msgspec.json.encode(described))]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and value.startswith(prefix):
            name = value.removeprefix(prefix)
            if name in schemas and name not in found:
                found[name] = schemas[name]
                waiting.append(schemas[name])
    return {name: found[name] for name in sorted(found)}


def revision_objects(target: Target, revision: Revision) -> list[Object]:
    """Several of them where one would be too large. The first of all comes last: who sees it finds the others."""
    content = gzip.compress(msgspec.json.encode(revision), mtime=0)
    pieces = [content[start : start + LARGEST_PIECE] for start in range(0, len(content), LARGEST_PIECE)]
    found = [_object(target, revision.number, number, piece) for number, piece in enumerate(pieces, 1)]
    notes = {_MADE: revision.made, _NOTE: revision.note, _PIECES: str(len(pieces))}
    mapping(found[0], "metadata")["annotations"] = notes
    return found[::-1]


def _object(target: Target, number: int, piece: int, content: bytes) -> Object:
    described = metadata(target, name_of(number, piece), COMPONENT, "atoll")
    labels = mapping(described, "labels")
    labels[LABEL] = str(number)
    if piece > 1:
        labels[PIECE] = str(piece)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": described,
        # Of one that was left halfway, the other pieces are written again.
        "immutable": piece == 1,
        "binaryData": {_FILE: base64.b64encode(content).decode()},
    }


def name_of(number: int, piece: int = 1) -> str:
    """Of the object that holds this piece of a revision, from 1."""
    return f"atoll-revision-{number}" + (f"-{piece}" if piece > 1 else "")


def entry_of(made: Object) -> Entry:
    """What the first object of a revision says of it."""
    notes = mapping(made, "metadata", "annotations")
    number = int(str(mapping(made, "metadata", "labels")[LABEL]))
    return Entry(number, str(notes.get(_MADE, "")), str(notes.get(_NOTE, "")), int(str(notes.get(_PIECES, 1))))


def read_revision(made: Sequence[Object]) -> Revision:
    """made: all objects of one, in the order of their pieces."""
    content = b"".join(base64.b64decode(str(mapping(each, "binaryData")[_FILE])) for each in made)
    return msgspec.json.decode(gzip.decompress(content), type=Revision)


def kinds_of(parts: Mapping[str, Sequence[Object]]) -> frozenset[str]:
    return frozenset(str(made["kind"]) for each in parts.values() for made in each)


def outdated(numbers: Sequence[int]) -> list[int]:
    """Those that are not kept any more."""
    return sorted(numbers)[:-KEPT]


def previous(numbers: Sequence[int], left: int | None) -> int | None:
    """Which of those that are kept, the oldest first, to go back to; None if there is none.

    left: the one to go back to from what was left halfway; None if nothing was.
    """
    if left is not None:
        return left if left in numbers else None
    return numbers[-2] if len(numbers) > 1 else None
