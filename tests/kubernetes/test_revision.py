"""A revision fits into objects that a cluster takes, and is read from them as it was."""

import base64
import random

import msgspec
import pytest

from atoll.kubernetes.names import Target
from atoll.kubernetes.objects import Key, key_of, mapping
from atoll.kubernetes.render import MOST_CONTENT, objects
from atoll.kubernetes.revision import (
    LABEL,
    PIECE,
    Built,
    Entry,
    Revision,
    built_of,
    entry_of,
    read_revision,
    revision_objects,
)
from atoll.wire.description import Description
from benchmarks.render import LARGEST_REQUEST, repeated
from tests.kubernetes.targets import target_of

MADE = "2026-11-26T15:40:00+00:00"


@pytest.fixture
def target(shop: Description) -> Target:
    return target_of(shop)


def revision_of(target: Target) -> Revision:
    built = {each.name: built_of(target, each) for each in target.members}
    return Revision(7, MADE, "black friday", objects(target), built)


def test_a_revision_is_listed_without_its_content_and_read_as_it_was(target: Target) -> None:
    wanted = revision_of(target)
    (made,) = revision_objects(target, wanted)
    assert key_of(made) == Key("ConfigMap", "atoll-revision-7")
    assert read_revision([made]) == wanted
    del made["binaryData"]
    assert entry_of(made) == Entry(7, MADE, "black friday", 1)


def test_a_revision_of_500_services_is_taken_by_a_cluster(shop: Description) -> None:
    target = target_of(repeated(shop, 500))
    wanted = revision_of(target)
    made = revision_objects(target, wanted)
    assert all(size_of(each) <= MOST_CONTENT for each in made)
    assert read_revision(made) == wanted


def test_what_is_too_large_for_one_object_lies_in_several_of_which_the_first_is_written_last(target: Target) -> None:
    # Given one that can't be compressed
    noise = random.Random(7)
    contracts = {
        f"service-{number}": Built(schemas={"noise": {"const": noise.randbytes(40_000).hex()}}) for number in range(45)
    }
    wanted = Revision(7, MADE, "", {}, contracts)
    # When it is written
    *more, first = revision_objects(target, wanted)
    # Then each object fits, and the last tells how many there are
    assert [key_of(each).name for each in more] == ["atoll-revision-7-3", "atoll-revision-7-2"]
    assert entry_of(first).pieces == 3
    for each in (first, *more):
        assert size_of(each) <= MOST_CONTENT
        assert len(msgspec.json.encode(each)) <= LARGEST_REQUEST
        assert mapping(each, "metadata", "labels")[LABEL] == "7"
        assert (PIECE in mapping(each, "metadata", "labels")) == (each is not first)
        assert each["immutable"] is (each is first)
    # And they are read as it was
    assert read_revision([first, *reversed(more)]) == wanted


def size_of(made: dict[str, object]) -> int:
    """Bytes of what it holds."""
    return sum(len(base64.b64decode(str(each))) for each in mapping(made, "binaryData").values())
