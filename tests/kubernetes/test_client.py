"""The connection to a cluster: what it says where there is none, and what it leaves."""

import asyncio
import base64
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from atoll.errors import CLUSTER_UNREACHABLE, AtollError
from atoll.kubernetes.client import connect
from atoll.kubernetes.objects import Key, mapping
from tests.hello import HELLO


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a cluster where nobody listens, with its keys inside as kubeadm writes them."""
    key = base64.b64encode(b"no key").decode()
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": key}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "me", "user": {"client-certificate-data": key, "client-key-data": key}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }))  # fmt: skip
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_command_that_is_ended_while_a_cluster_is_silent_leaves_no_key(
    end: signal.Signals, kubeconfig: Path, tmp_path: Path
) -> None:
    # Given a cluster that takes connections and says nothing
    asked = asyncio.Event()
    server = await asyncio.start_server(lambda *_: asked.set(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    known = json.loads(kubeconfig.read_text())
    known |= {"clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}]}
    known |= {"users": [{"name": "me", "user": {"token": "none"}}]}
    kubeconfig.write_text(json.dumps(known))
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "test.toml").touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    # When a command waits for it, and is ended
    command = [sys.executable, "-m", "atoll.cli.main", "status", "hello.py", "-e", "test"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment)
    async with asyncio.timeout(20):
        await asked.wait()
        assert list(temporary.glob("atoll-keys-*"))
        process.send_signal(end)
        # Then it has cleaned up
        assert await process.wait() == 130
    assert list(temporary.iterdir()) == []
    server.close()


@pytest.mark.parametrize("context", ["", "elsewhere"])
async def test_a_cluster_that_cannot_be_reached_is_said_and_no_key_is_left(
    context: str, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a folder of temporary files in which nothing is
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    # When the cluster, or one that the kubeconfig does not know, is connected to
    with pytest.raises(AtollError) as raised:
        async with connect(context, "shop"):
            pass
    # Then it says so, and keeps no copy of a key
    assert [each.code for each in raised.value.problems] == [CLUSTER_UNREACHABLE.code]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("{here}/none", "KUBECONFIG names {here}/none, and there is no such file"),
        ("{here}/none:{here}/neither", "KUBECONFIG names {here}/none and {here}/neither, and there is no such file"),
        ("", "there is no file ~/.kube/config, and KUBECONFIG names no other"),
        ("{here}/empty", "{here}/empty is no kubeconfig: it has no clusters, users and contexts."),
        ("{here}/words", "{here}/words is no kubeconfig: it has no clusters, users and contexts."),
        ("{here}/list", "{here}/list is no kubeconfig: it has no clusters, users and contexts."),
    ],
)
async def test_a_kubeconfig_that_is_not_there_is_told_with_its_path(
    names: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given nobody's kubeconfig, and files that are none
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    (tmp_path / "empty").touch()
    (tmp_path / "words").write_text("nothing of the kind")
    (tmp_path / "list").write_text("- nothing\n")
    # When a cluster is connected to
    with pytest.raises(AtollError) as raised:
        async with connect("", "shop", names.format(here=tmp_path)):
            pass
    # Then what there is not is said
    (problem,) = raised.value.problems
    assert problem.code == CLUSTER_UNREACHABLE.code
    assert says.format(here=tmp_path) in problem.sentence


async def test_an_api_server_that_is_away_or_busy_for_a_moment_is_asked_again(kubeconfig: Path) -> None:
    # Given one that answers, is busy, hangs up, and answers again
    said = iter([b"200 OK", b"503 Service Unavailable", b"429 Too Many Requests", b"", b"200 OK"])
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[0])
        body = json.dumps({"gitVersion": "v1.36.0", "major": "1", "minor": "36", "metadata": {"uid": "7"}}).encode()
        if status := next(said):
            head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % (status, len(body)) + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        known = json.loads(kubeconfig.read_text())
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        known |= {"clusters": [{"name": "here", "cluster": {"server": address}}]}
        known |= {"users": [{"name": "me", "user": {"token": "none"}}]}
        kubeconfig.write_text(json.dumps(known))
        # When an object is asked for
        async with connect("", "shop") as api:
            found = await api.get(Key("ConfigMap", "here"))
    # Then it is read at last
    assert found is not None
    assert mapping(found, "metadata")["uid"] == "7"
    assert asked == [b"GET"] * 5
