import os
import subprocess
from pathlib import Path

import pytest

from atoll.kubernetes.origin import origin_of, public

REVISION, SOURCE = "org.opencontainers.image.revision", "org.opencontainers.image.source"
AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *AUTHOR, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


@pytest.mark.needs_program("git")
async def test_a_commit_is_told_only_while_the_files_are_as_it_has_them(tmp_path: Path) -> None:
    assert await origin_of(tmp_path, os.environ) == {}
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "--message=a")
    git(tmp_path, "remote", "add", "origin", "https://me:secret@example.com/shop.git")
    address = {SOURCE: "https://example.com/shop"}
    assert await origin_of(tmp_path, os.environ) == {REVISION: git(tmp_path, "rev-parse", "HEAD"), **address}
    (tmp_path / "a").write_text("b")
    assert await origin_of(tmp_path, os.environ) == address


async def test_where_there_is_no_git_nothing_is_told(tmp_path: Path) -> None:
    assert await origin_of(tmp_path, {"PATH": str(tmp_path)}) == {}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("git@example.com:team/shop.git", "https://example.com/team/shop"),
        ("ssh://git@example.com:2222/team/shop", "https://example.com/team/shop"),
        ("https://user:token@example.com:8443/shop.git", "https://example.com:8443/shop"),
        ("/srv/git/shop.git", ""),
        ("file:///srv/git/shop.git", ""),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(written: str, shown: str) -> None:
    assert public(written) == shown
