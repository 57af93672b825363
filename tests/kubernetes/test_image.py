import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from atoll.errors import AtollError
from atoll.kubernetes.build import Builder, find_builder, write_context
from atoll.kubernetes.engine_images import from_wheels
from atoll.kubernetes.image import Folder, Image, bare_image, last_base, node_image, own_image, python_image
from atoll.kubernetes.names import Target
from atoll.kubernetes.pins import Pins
from atoll.kubernetes.project import images_of, tags_of
from atoll.kubernetes.reference import Base
from atoll.kubernetes.sources import Sources
from atoll.wire.description import Description, MemberData
from tests.kubernetes.conftest import SHOP
from tests.kubernetes.targets import target_of
from tests.kubernetes.test_package_lock import LOCK, files

WEB = MemberData(name="web", kind="process", command=("node", "server.js"), directory="web", port=9000, health="/up")
BASE = Base("node:22")
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def target(shop: Description) -> Target:
    return target_of(shop)


def dockerfiles(target: Target) -> dict[str, str]:
    made = {
        "python": python_image(target, target.members[0], {}, "", Base("python")),
        "node": node_image(target, WEB, Folder(files(LOCK)), BASE),
        "node-alone": node_image(target, WEB, Folder(files()), BASE),
        **{image.name: image for image, _ in from_wheels(target, Pins(Path()))},
    }
    return {name: image.dockerfile for name, image in made.items()}


def test_hadolint_finds_nothing_in_any_dockerfile(target: Target, tmp_path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    written = dockerfiles(target)
    assert set(written) == {"python", "node", "node-alone", "postgres", "nats", "gateway"}
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    judged = subprocess.run([hadolint, *tmp_path.iterdir()], capture_output=True, text=True, timeout=50, check=False)
    assert (judged.stdout, judged.returncode) == ("", 0)


def test_every_service_runs_as_nobody_and_says_whether_it_is_well(target: Target) -> None:
    for name in ("python", "node", "node-alone"):
        last = dockerfiles(target)[name].rpartition("\nFROM ")[2]
        assert "\nUSER 10001:10001\n" in last
        assert "\nHEALTHCHECK " in last
        # What changes most is copied last.
        assert last.splitlines()[-1].startswith("COPY ")


def test_the_health_of_a_node_service_is_asked_for_where_it_is_declared(target: Target) -> None:
    text = dockerfiles(target)["node"]
    assert "http://127.0.0.1:9000/up" in text
    assert 'CMD ["node", "server.js"]' in text


def image(contents: dict[str, bytes], *executable: str) -> Image:
    return Image("a", "r", "c", "FROM x\n", contents, {}, (), frozenset(executable))


def test_a_tag_is_made_of_contents_and_of_what_is_a_program() -> None:
    assert image({"a": b"1"}).tag == image({"a": b"1"}).tag
    tags = {image({"a": b"1"}).tag, image({"a": b"2"}).tag, image({"b": b"1"}).tag, image({"a": b"1"}, "a").tag}
    assert len(tags) == 4


def test_a_context_has_one_mode_for_files_and_one_for_programs(tmp_path: Path) -> None:
    write_context(tmp_path, [image({"bin/start": b"", "data": b""}, "bin/start")])
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"bin": 0o755, "start": 0o755, "data": 0o644}


def test_labels_say_what_it_is_and_not_when_it_was_made() -> None:
    made = Image("a", "r", "c", "FROM x\n", {}, {}, (Base("python:3.13", DIGEST),))
    assert {name.removeprefix("org.opencontainers.image."): each for name, each in made.labels.items()} == {
        "title": "a",
        "version": made.tag,
        "base.name": "python:3.13",
        "base.digest": DIGEST,
    }


@pytest.mark.parametrize(
    ("dockerfile", "base"),
    [
        ("FROM python:3.13\n", "python:3.13"),
        ("FROM --platform=linux/amd64 golang AS build\nRUN make\nfrom alpine:3\n", "alpine:3"),
        ("FROM node:22 AS base\nFROM base as build\nFROM Base\n", "node:22"),
        ("ARG BASE\nFROM ${BASE}\n", ""),
        ("FROM scratch\n", ""),
    ],
)
def test_the_base_of_an_own_dockerfile_is_that_of_its_last_stage(dockerfile: str, base: str) -> None:
    assert [each.written for each in last_base(dockerfile)] == ([base] if base else [])


def test_a_dockerfile_of_ones_own_is_built_as_it_is(target: Target) -> None:
    made = own_image(target, WEB, Folder({"Dockerfile": b"FROM alpine:3\n", "go": b""}, frozenset({"go"})))
    assert made.dockerfile == "FROM alpine:3\n"
    assert made.executable == {"go"}
    assert made.is_own


@pytest.mark.parametrize("program", ["docker", "buildah"])
def test_only_a_dockerfile_of_ones_own_is_built_with_a_network(target: Target, program: str) -> None:
    builder, context = Builder(program, {}), Path("context")

    def options(image: Image) -> str:
        return " ".join(builder.command(image, context, context / "Dockerfile", {}))

    own = own_image(target, WEB, Folder({"Dockerfile": b"FROM alpine:3\nRUN apk add curl\n"}, frozenset()))
    assert "--network" not in options(own)
    assert "--network none" in options(bare_image(target, "setup", "", Base("python:3.13")))


def test_pinned_bases_make_other_images_and_are_built_from_by_digest(shop: Description) -> None:
    # Only the program of the shop, so that no lock is needed.
    (member,) = [each for each in shop.members if each.kind == "process"]
    target = target_of(msgspec.structs.replace(shop, members=(member,)))
    name = target.environment.images.node
    (plain,) = images_of(target, None, Pins(Path()), Sources(SHOP))
    (pinned,) = images_of(target, None, Pins(Path(), {name: DIGEST}), Sources(SHOP))
    assert plain.arguments == {"BASE": name}
    assert pinned.arguments == {"BASE": f"node@{DIGEST}"}
    assert plain.tag != pinned.tag
    assert not [path for path in plain.files if path.endswith((".test.js", ".py"))]


def test_every_tag_from_elsewhere_is_pinned(shop: Description) -> None:
    images = target_of(shop).environment.images
    official = tags_of(target_of(shop))
    assert {images.base, images.node} < set(official)
    assert [each.partition(":")[0] for each in official if each not in {images.base, images.node}] == [
        "envoyproxy/envoy",
        "nats",
        "postgres",
    ]
    own = {"engines": "wheels", "base": f"python@{DIGEST}"}
    assert tags_of(target_of(shop, images=own)) == [images.node]


def test_without_docker_and_buildah_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(AtollError, match="Neither docker nor buildah was found"):
        find_builder({"PATH": str(tmp_path)})
    # Of one that was named alone it is said that it is not there.
    with pytest.raises(AtollError, match=r"ATL5012 .*podmann can't be used: there is no such program"):
        find_builder({"PATH": str(tmp_path)}, "podmann")
