"""A cluster that is too old for what is rendered says so before anything is tried there."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from atoll.errors import CLUSTER_TOO_OLD, AtollError
from atoll.kubernetes.client import connect
from atoll.kubernetes.release import Release
from atoll.kubernetes.version import version_problem
from atoll.wire.description import Description
from tests.kubernetes.api_server import kubeconfig_of
from tests.kubernetes.targets import target_of


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[list[str]]:
    """What an API server of version 1.29 is asked for; its kubeconfig is beside."""
    paths: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        paths.append(head.split()[1])
        body = json.dumps({"major": "1", "minor": "29+", "gitVersion": "v1.29.4-gke.100"})
        lines = (
            "HTTP/1.1 200 OK",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "connection: close",
        )
        writer.write("\r\n".join((*lines, "", body)).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    kubeconfig_of(port, tmp_path)
    yield paths
    server.close()


@pytest.mark.filterwarnings("ignore:Kubernetes version")
async def test_nothing_is_tried_at_a_cluster_that_is_too_old(
    shop: Description, asked: list[str], tmp_path: Path
) -> None:
    async with connect("", "shop", str(tmp_path / "kubeconfig")) as api:
        release = Release(api, target_of(shop), lambda _: None, 1.0, "me")
        with pytest.raises(AtollError, match=CLUSTER_TOO_OLD.code) as raised:
            await release.plan((), may_break=False)
    assert "runs Kubernetes v1.29.4-gke.100; what is deployed needs 1.30 or later" in str(raised.value)
    assert {path.rstrip("/") for path in asked} == {"/version"}


@pytest.mark.parametrize("version", ["v1.30.0", "v1.33.1+k3s1", "v1.40.0-alpha.1", "v2.0.0", ""])
def test_a_later_version_or_none_that_is_told_is_no_problem(version: str) -> None:
    assert version_problem(version) is None


@pytest.mark.parametrize("version", ["v1.29.4-gke.100", "v1.9.0"])
def test_an_older_version_is_one(version: str) -> None:
    problem = version_problem(version)
    assert problem is not None
    assert version in problem.sentence
