"""The names of all images of the boutique, as they stand in its manifests."""

import os
from pathlib import Path

import msgspec
import pytest

from atoll.errors import AtollError
from atoll.kubernetes.assembly import assemble
from atoll.kubernetes.names import GATEWAY, NATS, POSTGRES, Target
from atoll.kubernetes.pins import Pins
from atoll.kubernetes.project import tags_of
from atoll.kubernetes.render import render
from atoll.wire.description import Description
from tests.kubernetes.targets import GENERATED
from tests.kubernetes.targets import target_of as with_made_up_images

DIGEST = f"sha256:{'b' * 64}"


@pytest.fixture
def target(shop: Description) -> Target:
    """Of the boutique, whose images nobody named yet."""
    environment = with_made_up_images(shop, secrets=GENERATED).environment
    # The lock is tried with the Python that it was surely made for.
    images = msgspec.structs.replace(environment.images, python="3.11")
    return Target(shop, msgspec.structs.replace(environment, images=images))


async def test_engines_and_bases_are_named_by_the_digests_that_are_kept(target: Target, tmp_path: Path) -> None:
    tags = tags_of(target)
    made = await assemble(target, tmp_path, Pins(tmp_path / "x.lock.toml", dict.fromkeys(tags, DIGEST)), os.environ)
    assert {name: made.target.images[name] for name in (POSTGRES, NATS, GATEWAY)} == {
        POSTGRES: f"postgres@{DIGEST}",
        NATS: f"nats@{DIGEST}",
        GATEWAY: f"envoyproxy/envoy@{DIGEST}",
    }
    text = "".join(render(made.target).values())
    assert f'image: "nats@{DIGEST}"' in text or f"image: nats@{DIGEST}" in text
    assert not [tag for tag in tags if tag in text]
    assert {image.arguments["BASE"] for image in made.images} == {f"python@{DIGEST}", f"node@{DIGEST}"}
    # Every service has an image, and what sets the namespace up has one.
    assert {image.name for image in made.images} == {*(each.name for each in target.members), "setup"}


async def test_an_engine_whose_digest_is_missing_is_an_error(target: Target, tmp_path: Path) -> None:
    digests = {tag: DIGEST for tag in tags_of(target) if not tag.startswith("nats")}
    with pytest.raises(AtollError, match="has no digest of nats:"):
        await assemble(target, tmp_path, Pins(tmp_path / "x.lock.toml", digests), os.environ)
