"""`atoll destroy`: nobody is asked before it is known that there is a cluster."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.hello import HELLO


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text(HELLO)
    return tmp_path


async def destroyed(folder: Path, kubeconfig: Path) -> tuple[int | None, str, str]:
    """How the command ends, and what it says, for somebody who answers no."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atoll.cli.main", "destroy", "--system", "hello.py"),
        cwd=folder,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(40):
        said, wrong = await process.communicate(b"n\n")
    return process.returncode, said.decode(), wrong.decode()


async def test_without_a_cluster_it_says_so_and_asks_nothing(folder: Path) -> None:
    status, said, wrong = await destroyed(folder, folder / "none")
    assert status == 1
    assert f"KUBECONFIG names {folder}/none, and there is no such file" in wrong
    assert "Remove" not in said + wrong


async def test_with_one_it_asks_by_the_name_of_the_namespace_and_removes_nothing_when_told_not_to(folder: Path) -> None:
    # Given an API server that knows of nothing
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b" ", 1)[0].decode())
        body = json.dumps({"gitVersion": "v1.36.0", "major": "1", "minor": "36", "items": []}).encode()
        lines = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(lines % len(body) + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "me", "user": {"token": "none"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }))  # fmt: skip
        # When somebody begins to remove the system, and says no
        status, said, wrong = await destroyed(folder, kubeconfig)
    # Then he was asked, after the cluster had answered, and nothing was removed
    assert status not in (0, None)
    assert "Remove small from the namespace small, without its volumes and secrets?" in said + wrong
    assert set(asked) == {"GET"}
