import stat
from pathlib import Path

import pytest

from atoll.engines import versions
from atoll.engines.engine import File
from atoll.errors import AtollError
from atoll.provision.issuer import public_keys
from atoll.provision.programs import find_program
from atoll.supervisor.home import Home
from atoll.supervisor.install import (
    check_envoy,
    find_certificates,
    issuer_key,
    issuer_keys,
    make_folders,
    secret,
    write,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_with_passwords_are_closed_to_others(tmp_path: Path) -> None:
    home = Home(tmp_path / "shop")
    make_folders(home)
    make_folders(home)
    assert mode(home.secrets) == mode(home.state / "nats") == mode(home.state / "envoy") == 0o700


def test_a_secret_is_made_once_kept_and_private(tmp_path: Path) -> None:
    first = secret(tmp_path, "nats-users")
    assert secret(tmp_path, "nats-users") == first
    assert secret(tmp_path, "nats-cart") != first
    assert len(first) >= 43
    assert mode(tmp_path / "nats-users") == 0o600


def test_a_file_is_replaced_by_renaming(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    write(File(path, "old", 0o644))
    before = path.stat().st_ino
    with path.open() as opened:
        write(File(path, "new", 0o600))
        assert opened.read() == "old"
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    assert path.stat().st_ino != before
    assert [each.name for each in tmp_path.iterdir()] == ["routes.json"]


def test_a_file_that_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    file = File(tmp_path / "routes.json", "same")
    assert write(file)
    before = (tmp_path / "routes.json").stat()
    assert not write(file)
    after = (tmp_path / "routes.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_envoy_says_what_is_wrong_with_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(AtollError) as caught:
        await check_envoy(find_program(versions.ENVOY), '{"static_resources": {"no_such_field": []}}', tmp_path)
    (problem,) = caught.value.problems
    assert problem.code == "ATL4002"
    assert "no_such_field" in problem.detail


def test_the_issuers_public_half_is_kept_and_is_another_when_the_key_is(tmp_path: Path) -> None:
    first = issuer_keys(tmp_path)
    assert issuer_keys(tmp_path) == first == public_keys(issuer_key(tmp_path))
    assert mode(tmp_path / "issuer-key") == 0o600
    assert '"d"' not in first
    (tmp_path / "issuer-key").unlink()
    key = issuer_key(tmp_path)
    assert issuer_keys(tmp_path) == public_keys(key) != first


def test_the_shells_authorities_come_before_the_systems(tmp_path: Path) -> None:
    own = tmp_path / "authorities.pem"
    own.write_text("")
    assert find_certificates({"SSL_CERT_FILE": str(own)}) == str(own)
    assert find_certificates({"SSL_CERT_FILE": str(tmp_path / "missing")}) == find_certificates({})
