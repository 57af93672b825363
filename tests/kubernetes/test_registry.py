"""What tags mean, asked of Debian's docker-registry."""

from collections.abc import Callable
from pathlib import Path

import pytest

from atoll.errors import AtollError
from atoll.kubernetes.registry import digests_of
from tests.kubernetes.registries import Tokens, push, registry

pytestmark = pytest.mark.needs_program("docker-registry")


async def test_a_tag_is_the_digest_of_what_was_pushed(program: Callable[[str], str], tmp_path: Path) -> None:
    with registry(program("docker-registry"), tmp_path) as name:
        digest = push(name, "team/python", "3.13")
        asked = f"{name}/team/python:3.13"
        assert await digests_of([asked]) == {asked: digest}


async def test_a_registry_that_gives_tokens_to_anybody_is_asked_with_one(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    tokens = Tokens.made()
    with tokens.served() as realm, registry(program("docker-registry"), tmp_path, tokens, realm) as name:
        digest = push(name, "python", "3.13", tokens.token("repository:python:push", ["pull", "push"]))
        asked = f"{name}/python:3.13"
        assert await digests_of([asked]) == {asked: digest}
        assert tokens.asked == ["repository:python:pull"]


async def test_all_that_can_not_be_found_is_told_at_once(program: Callable[[str], str], tmp_path: Path) -> None:
    with registry(program("docker-registry"), tmp_path) as name:
        push(name, "python", "3.13")
        with pytest.raises(AtollError) as raised:
            await digests_of([f"{name}/python:3.13", f"{name}/python:none", f"{name}/none:1", "127.0.0.1:9/gone:1"])
    first, second, third = [each.sentence for each in raised.value.problems]
    assert f"{name} has no python:none" in first
    assert f"{name} has no none:1" in second
    assert "127.0.0.1:9/gone:1 could not be found at its registry: " in third
    assert all("by hand" in each.do for each in raised.value.problems)
