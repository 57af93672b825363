"""References become files and variables."""

import stat
from pathlib import Path

import msgspec
import pytest

from atoll.errors import AtollError
from atoll.model.references import FromFile, Literal
from atoll.supervisor.environment import Engines, Environment, read_environment
from atoll.supervisor.home import Home
from atoll.supervisor.install import make_folders
from atoll.supervisor.plan import Options, Plan, plan, ports_needed
from atoll.supervisor.resolve import broker_of, connections_of, environment_of, write_secrets
from atoll.wire.secrets import SecretData
from tests.supervisor.described import sample


def make(folder: Path, addresses: Engines | None = None, options: Options | None = None) -> Plan:
    """The sample, whose counter wants a secret."""
    members = tuple(
        msgspec.structs.replace(each, secrets={"tax_key": SecretData("tax-key", "url")})
        if each.name == "counter"
        else each
        for each in sample().members
    )
    description = msgspec.structs.replace(sample(), members=members)
    addresses = addresses or Engines()
    ports = {wish.name: 20_000 + n for n, wish in enumerate(ports_needed(description, options or Options(), addresses))}
    home = Home(folder / ".atoll" / "sample")
    make_folders(home)
    return plan(description, home, options or Options(), addresses, ports, {})


def content(made: Plan, name: str) -> str:
    file = made.home.secrets / name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return file.read_text()


def test_a_secret_comes_from_the_file_of_the_machine(tmp_path: Path) -> None:
    made = make(tmp_path)
    write_secrets(made, Environment(secrets={"tax-key.url": "s3cret"}), {"ATOLL_SECRET_TAX_KEY_URL": "other"})
    assert content(made, "user-tax-key.url") == "s3cret"


def test_a_secret_may_be_a_variable_of_the_shell(tmp_path: Path) -> None:
    made = make(tmp_path)
    write_secrets(made, Environment(), {"ATOLL_SECRET_TAX_KEY_URL": "other"})
    assert content(made, "user-tax-key.url") == "other"


def test_a_secret_without_a_value_is_named_with_the_variable_that_would_do(tmp_path: Path) -> None:
    with pytest.raises(AtollError, match="ATL2207") as caught:
        write_secrets(make(tmp_path), Environment(), {})
    assert "ATOLL_SECRET_TAX_KEY_URL" in caught.value.problems[0].do


def test_replicas_that_are_asked_for_may_open_their_connections_here_too(tmp_path: Path) -> None:
    one, twenty = make(tmp_path), make(tmp_path, options=Options(replicas={"counter": 20}))
    counter = one.description.member("counter")
    assert counter
    assert counter.database
    for made, replicas in ((one, 1), (twenty, 20)):
        assert connections_of(made)["counter"] > 2 * replicas * (counter.database.connections + 1)


def test_a_service_does_not_inherit_the_secrets_of_others() -> None:
    shell = {"PATH": "/bin", "ATOLL_SECRET_TAX_KEY": "s3cret"}
    found = environment_of({"PORT": Literal("3000")}, shell)
    assert found == {"PATH": "/bin", "PORT": "3000", "PYTHONUNBUFFERED": "1"}


def test_the_dsn_of_a_program_is_read_when_it_starts(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://me@here/mine")
    assert environment_of({"DATABASE_URL": FromFile(str(tmp_path / "dsn"))}, {})["DATABASE_URL"].endswith("/mine")


def test_every_account_of_the_broker_has_a_password_of_its_own_that_is_kept(tmp_path: Path) -> None:
    broker = broker_of(make(tmp_path))
    passwords = [broker.admin_password, *(account.password for account in broker.accounts)]
    assert len(set(passwords)) == 3
    assert all(len(password) >= 40 for password in passwords)
    assert broker_of(make(tmp_path)) == broker


def test_the_password_in_the_address_of_a_broker_goes_into_a_file(tmp_path: Path) -> None:
    made = make(tmp_path, Engines(nats="nats://me:p%40ss@mq.example:4222"))
    write_secrets(made, Environment(secrets={"tax-key.url": "x"}), {})
    assert content(made, "nats-address") == "p@ss"


def test_the_file_of_the_machine_is_read_and_its_mistakes_are_named(tmp_path: Path) -> None:
    assert read_environment(tmp_path) == Environment()
    (tmp_path / "environments").mkdir()
    file = tmp_path / "environments" / "local.toml"
    file.write_text('[secrets]\n"tax-key" = "x"\n[engines]\npostgres = "postgresql://db"\n')
    assert read_environment(tmp_path) == Environment({"tax-key": "x"}, Engines(postgres="postgresql://db"))
    for nested in ("[secrets]\nstripe.key = 'x'\n", "[secrets.stripe]\nkey = 'x'\n", "[secrets]\n'stripe.key' = 'x'\n"):
        file.write_text(nested)
        assert read_environment(tmp_path) == Environment({"stripe.key": "x"})
    for wrong in ("[secrets", "[engines]\npostgre = ''\n", "[secrets]\na = 1\n"):
        file.write_text(wrong)
        with pytest.raises(AtollError, match=r"local\.toml"):
            read_environment(tmp_path)
