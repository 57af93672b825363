"""What git leaves out, asked of git."""

import os
from pathlib import Path

import pytest

from atoll.kubernetes.ignored import Ignored, ignored_in
from tests.kubernetes.test_origin import git

pytestmark = pytest.mark.needs_program("git")


def written(folder: Path, *paths: str, ignore: str = "") -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("")
    if ignore:
        (folder / ".gitignore").write_text(ignore)


async def asked(folder: Path, root: Path | None = None, **variables: str) -> Ignored:
    return await ignored_in({folder: root or folder}, {**os.environ, **variables})


async def left(folder: Path) -> set[str]:
    """The files below a folder that are left out."""
    ignored = await asked(folder)
    assert ignored.unasked == ""
    files = [each for each in folder.rglob("*") if each.is_file() and ".git" not in each.parts]
    return {str(each.relative_to(folder)) for each in files if ignored.has(each, folder)}


async def test_files_and_folders_are_left_out_as_git_says(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    written(
        tmp_path,
        *("a.py", "id_rsa", "users/id_rsa", "users/data.txt", "users/secrets/deep/prod.pem", "users/kept.pem"),
        *("tracked.pem", 'users/a "strange\nname.pem'),
        ignore="id_rsa\n*.pem\n!kept.pem\nsecrets/\n",
    )
    git(tmp_path, "add", "--force", "tracked.pem")
    assert await left(tmp_path) == {
        "id_rsa",
        "users/id_rsa",
        "users/secrets/deep/prod.pem",
        'users/a "strange\nname.pem',
    }


async def test_a_folder_below_the_top_has_the_rules_of_the_top(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    written(tmp_path, "shop/users/key", "shop/users/data", ignore="key\n")
    assert await left(tmp_path / "shop" / "users") == {"key"}


async def test_without_a_repository_the_rules_are_those_of_its_files(tmp_path: Path) -> None:
    written(tmp_path, "users/key", "users/data", ignore="key\n")
    assert await left(tmp_path) == {"users/key"}
    assert not (tmp_path / ".git").exists()


async def test_a_repository_that_ignores_all_of_it_says_nothing_of_its_files(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    written(tmp_path, ignore="made/\n")
    written(tmp_path / "made" / "web", "key", "server.js", ignore="key\n")
    assert await left(tmp_path / "made" / "web") == {"key"}
    # But of a project that has it somewhere, it is a part.
    ignored = await asked(tmp_path / "made" / "web", tmp_path)
    assert ignored.has(tmp_path / "made" / "web" / "server.js", tmp_path)


async def test_a_repository_within_another_has_its_own_rules(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    written(tmp_path, "one/key", "one/other", ignore="key\n")
    inner = tmp_path / "two"
    written(inner, "key", "other", ignore="other\n")
    git(inner, "init", "--quiet")
    ignored = await ignored_in({tmp_path / "one": tmp_path, inner: inner}, os.environ)
    assert ignored.has(tmp_path / "one" / "key", tmp_path)
    assert not ignored.has(tmp_path / "one" / "other", tmp_path)
    assert ignored.has(inner / "other", inner)
    assert not ignored.has(inner / "key", inner)


async def test_a_hook_of_another_repository_misleads_nobody(tmp_path: Path) -> None:
    other, here = tmp_path / "other", tmp_path / "here"
    for folder in (other, here):
        folder.mkdir()
        git(folder, "init", "--quiet")
    written(here, "key", ignore="key\n")
    assert (await asked(here, GIT_DIR=str(other / ".git"))).has(here / "key", here)


async def test_why_git_can_not_say_it_is_told(tmp_path: Path) -> None:
    assert await asked(tmp_path, PATH=str(tmp_path)) == Ignored(unasked="git was not found")
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    assert "not a git repository" in (await asked(tmp_path)).unasked
