"""The connection to a cluster: what it says where there is none, and what it leaves."""

import base64
import json
import tempfile
from pathlib import Path

import pytest

from atoll.errors import CLUSTER_UNREACHABLE, AtollError
from atoll.kubernetes.client import connect


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
