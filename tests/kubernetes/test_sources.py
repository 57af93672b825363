"""Which files of a project get into its images: none that git ignores, none that we wrote, none that is secret."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from atoll.cli.render_kubernetes import write_files
from atoll.errors import AtollError
from atoll.kubernetes.compose import render_compose
from atoll.kubernetes.ignored import ignored_in
from atoll.kubernetes.image import Image
from atoll.kubernetes.names import Target
from atoll.kubernetes.pins import Pins
from atoll.kubernetes.project import Lock, images_of
from atoll.kubernetes.render import render
from atoll.kubernetes.sources import Sources, folders_of
from atoll.supervisor.children import Python, describe
from tests.kubernetes.targets import target_of
from tests.kubernetes.test_credentials import PEM
from tests.kubernetes.test_ignored import written
from tests.kubernetes.test_origin import git

pytestmark = pytest.mark.needs_program("git")

SYSTEM = """\
from atoll import Process, Service, System

from site_.users.service import Users

system = System("site", services=[
    Service("users", Users),
    Process("web", ["node", "server.js"], directory="web", port=9100),
    Process("own", ["/app/start"], directory="own", port=9200),
])
"""
SERVICE = """\
from atoll import get

class Users:
    @get("/users")
    async def users(self) -> list[str]:
        return []
"""


@pytest.fixture
async def target(tmp_path: Path) -> Target:
    """A service in Python, one in Node.js, and one with a Dockerfile of its own, in a new repository."""
    files = {
        "site_/__init__.py": "",
        "site_/system.py": SYSTEM,
        "site_/users/__init__.py": "",
        "site_/users/service.py": SERVICE,
        "site_/users/names.json": "[]",
        "site_/web/package.json": '{"name": "web", "version": "1.0.0"}',
        "site_/web/server.js": "",
        "site_/own/Dockerfile": "FROM alpine:3\nCOPY . /app\n",
        "site_/own/start": "",
    }
    for path, content in files.items():
        written(tmp_path, path)
        (tmp_path / path).write_text(content)
    git(tmp_path, "init", "--quiet")
    return target_of(await describe(Python(dict(os.environ), sys.executable), "site_.system:system", tmp_path))


async def images(target: Target, tmp_path: Path, *include: str) -> Mapping[str, Image]:
    sources = Sources(tmp_path, await ignored_in(folders_of(target), os.environ), include)
    made = images_of(target, Lock("requirements.txt", ()), Pins(tmp_path / "none"), sources)
    return {each.name: each for each in made if each.name in {"users", "web", "own"}}


def names(made: Mapping[str, Image]) -> set[str]:
    """Of the data that was found, whatever context it stands in."""
    ends = ("json", "pem", "rsa", "sqlite3", "txt", "yaml", "yml")
    return {path.rpartition("/")[2] for each in made.values() for path in each.files if path.endswith(ends)}


USUAL = {"requirements.txt", "names.json", "package.json"}


async def test_what_git_ignores_gets_into_no_image_and_changes_no_tag(target: Target, tmp_path: Path) -> None:
    before = await images(target, tmp_path)
    assert names(before) == USUAL
    for folder in ("users", "web", "own"):
        written(
            tmp_path / "site_" / folder,
            *("credentials.json", "id_rsa", "dump.sqlite3", "secrets/prod.pem", "notes.txt"),
        )
        (tmp_path / "site_" / folder / "secrets" / "prod.pem").write_bytes(PEM)
    written(tmp_path, ignore="credentials.json\nid_rsa\n*.sqlite3\nsecrets/\nnotes.txt\n")
    after = await images(target, tmp_path)
    assert names(after) == USUAL
    assert {name: each.tag for name, each in after.items()} == {name: each.tag for name, each in before.items()}


async def test_what_we_rendered_gets_into_no_image_and_changes_no_tag(target: Target, tmp_path: Path) -> None:
    before = await images(target, tmp_path)
    compose, objects = render_compose(target, frozenset()), render(target)
    for folder in ("site_/users", "site_/web", "site_/own"):
        written(tmp_path / folder / "compose", *compose)
        for name, content in compose.items():
            (tmp_path / folder / "compose" / name).write_text(content)
        write_files(objects, str(tmp_path / folder / "k8s"))
    after = await images(target, tmp_path)
    assert {name: each.tag for name, each in after.items()} == {name: each.tag for name, each in before.items()}
    # What somebody else wrote for Compose is data.
    written(tmp_path / "site_" / "users" / "other", "compose.yaml")
    assert "compose.yaml" in names(await images(target, tmp_path))


async def test_every_secret_that_git_knows_is_refused_by_name_and_at_once(target: Target, tmp_path: Path) -> None:
    for folder in ("users", "web", "own"):
        (tmp_path / "site_" / folder / "id_rsa").write_bytes(PEM)
        (tmp_path / "site_" / folder / "data.txt").write_bytes(PEM)
    git(tmp_path, "add", ".")
    with pytest.raises(AtollError) as raised:
        await images(target, tmp_path)
    assert [each.sentence for each in raised.value.problems] == [
        f"site_/{service}/{file} would be in the image of {service}, and it has a private key in it."
        for service in ("users", "web", "own")
        for file in ("data.txt", "id_rsa")
    ]
    assert all('include = ["site_/' in each.do for each in raised.value.problems)


async def test_a_key_in_a_module_is_refused_too(target: Target, tmp_path: Path) -> None:
    (tmp_path / "site_" / "users" / "service.py").write_text(f'{SERVICE}\nKEY = """\n{PEM.decode()}"""\n')
    with pytest.raises(AtollError, match=r"site_/users/service\.py would be in the image of users"):
        await images(target, tmp_path)


async def test_what_is_named_in_the_environment_is_taken_whatever_it_is(target: Target, tmp_path: Path) -> None:
    for folder in ("users", "web"):
        written(tmp_path / "site_" / folder, "static/built.txt", "static/other.txt", "id_rsa")
    written(tmp_path, ignore="static/\n")
    made = await images(target, tmp_path, "site_/*/static/built.txt", "site_/*/id_rsa")
    assert names(made) == {*USUAL, "built.txt", "id_rsa"}
    # The builder is not kept from it.
    assert "!src/id_rsa" in made["web"].files[".dockerignore"].decode().splitlines()


async def test_a_dockerignore_keeps_a_secret_out_of_the_image_of_its_folder(target: Target, tmp_path: Path) -> None:
    (tmp_path / "site_" / "own" / "test.pem").write_bytes(PEM)
    (tmp_path / "site_" / "own" / ".dockerignore").write_text("*.pem\n")
    assert "test.pem" in names(await images(target, tmp_path))
    (tmp_path / "site_" / "own" / ".dockerignore").write_text("*.pem\n!test.pem\n")
    with pytest.raises(AtollError, match=r"own/test\.pem would be in the image of own"):
        await images(target, tmp_path)


async def test_what_was_left_out_is_said(target: Target, tmp_path: Path) -> None:
    folders = folders_of(target)
    written(tmp_path, "site_/users/built.txt", "site_/web/node_modules/a/a.js", "docs/draft.txt")
    written(tmp_path, ignore="*.txt\nnode_modules/\n")
    sources = Sources(tmp_path, await ignored_in(folders, os.environ))
    assert sources.notes(folders) == ("left out, as git ignores it: site_/users/built.txt",)
    unasked = Sources(tmp_path, await ignored_in(folders, {"PATH": ""}))
    assert unasked.notes(folders) == ("git was not found: files that .gitignore names may be in the images",)
