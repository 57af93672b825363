"""What a registry has already, asked of Debian's docker-registry."""

import base64
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from atoll.kubernetes.build import Builder, find_builder
from atoll.kubernetes.published import published
from tests.kubernetes.registries import Tokens, push, registry

OURS, OTHER = ("amd64", "arm64") if platform.machine() in {"x86_64", "amd64"} else ("arm64", "amd64")
# It is asked where a registry does not answer anybody.
NO_BUILDER = Builder("/nowhere/buildah", {})

pytestmark = pytest.mark.needs_program("docker-registry")


async def test_an_image_is_there_if_it_is_for_a_processor_like_ours(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    with registry(program("docker-registry"), tmp_path) as name:
        push(name, "shop/users", "1", processor=OURS)
        push(name, "shop/cart", "1", processor=OTHER)
        asked = [f"{name}/shop/{each}" for each in ("users:1", "users:2", "cart:1", "none:1")]
        assert await published(asked, NO_BUILDER) == {asked[0]}
        assert await published(["127.0.0.1:9/gone:1"], NO_BUILDER) == frozenset()


@pytest.mark.needs_program("docker")
@pytest.mark.parametrize("knows", [True, False])
async def test_docker_is_asked_where_only_members_may_see_it(
    program: Callable[[str], str], tmp_path: Path, knows: bool
) -> None:
    # Given a registry that shows nothing to anybody, and a docker that may be logged in there
    tokens = Tokens.made(login="ada:secret")
    with tokens.served() as realm, registry(program("docker-registry"), tmp_path, tokens, realm) as name:
        push(name, "users", "1", tokens.token("repository:users:push", ["pull", "push"]), OURS)
        login = {"auths": {name: {"auth": base64.b64encode(tokens.login.encode()).decode()}}} if knows else {}
        (tmp_path / "config.json").write_text(json.dumps(login))
        docker = find_builder({**os.environ, "DOCKER_CONFIG": str(tmp_path)}, program("docker"))
        # Then what it may see is there
        assert await published([f"{name}/users:1", f"{name}/users:2"], docker) == (
            {f"{name}/users:1"} if knows else set()
        )
