"""What follows from a change of files."""

from dataclasses import replace
from pathlib import Path

import msgspec

from atoll.supervisor.changes import affected, is_relevant, watched_folders
from atoll.wire.description import ApiKeysData, IssuerData, RateLimitData
from atoll.wire.secrets import SecretData
from tests.supervisor.described import sample
from tests.supervisor.test_plan import make

FOLDER = Path(sample().folder)


def effect(*paths: str) -> tuple[set[str], set[str]]:
    found = affected(make(sample()), make(sample()), {str(FOLDER / path) for path in paths})
    return set(found.replace), set(found.prepare)


def test_a_changed_service_is_replaced_and_nobody_else() -> None:
    assert effect("greeter/service.py") == ({"greeter"}, set())


def test_a_changed_contract_replaces_who_serves_it_and_who_calls_it() -> None:
    assert effect("counter/contract.py") == ({"counter", "greeter"}, set())


def test_a_changed_migration_prepares_its_service_again() -> None:
    assert effect("counter/migrations/0002_more.sql") == (set(), {"counter"})


def test_code_of_a_program_replaces_it_and_its_data_does_not() -> None:
    assert effect("echo/echo.py") == ({"echo"}, set())
    assert effect("echo/echo.log", "echo/store.db") == (set(), set())


def test_a_file_that_nobody_imports_changes_nothing() -> None:
    assert effect("unused.py") == (set(), set())


def test_a_member_that_is_declared_differently_is_replaced_though_its_own_files_are_the_same() -> None:
    members = tuple(
        msgspec.structs.replace(each, deadline=9.0) if each.name == "counter" else each for each in sample().members
    )
    new = make(msgspec.structs.replace(sample(), members=members))
    assert affected(make(sample()), new, {str(FOLDER / "system.py")}).replace == {"counter"}


def test_where_something_stands_in_its_file_is_no_difference() -> None:
    members = tuple(msgspec.structs.replace(each, place=f"{each.place}9") for each in sample().members)
    assert affected(make(sample()), make(msgspec.structs.replace(sample(), members=members)), set()).replace == set()


def test_the_gateway_is_replaced_for_another_port_alone() -> None:
    old = make(sample())
    assert affected(old, replace(old, gateway_port=9), set()).replace == {"envoy"}


def test_the_folders_of_all_files_are_watched_and_the_state_of_the_system_is_not() -> None:
    below = {str(Path(folder).relative_to(FOLDER)) for folder in watched_folders(sample())}
    assert below == {".", "counter", "counter/migrations", "greeter", "echo", "environments"}


def test_a_new_python_file_may_matter_and_what_a_program_writes_does_not() -> None:
    assert is_relevant(str(FOLDER / "counter" / "new.py"), sample())
    assert not is_relevant(str(FOLDER / "echo" / "echo.log"), sample())


def test_another_policy_of_the_gateway_replaces_it_and_other_routes_do_not() -> None:
    old = make(sample())
    gateway = old.description.gateway
    assert gateway is not None

    def becoming(**changed: object) -> set[str]:
        described = msgspec.structs.replace(sample(), gateway=msgspec.structs.replace(gateway, **changed))
        return set(affected(old, replace(old, description=described), set()).replace)

    assert becoming(rate_limits=(RateLimitData("client", 5, 1, 5),)) == {"envoy"}
    assert becoming(issuers=(IssuerData("https://login.example", "a", "{}"),)) == {"envoy"}
    assert becoming(body_limit=5) == {"envoy"}
    assert becoming(expose=("counter",), public=("counter",)) == set()


def test_changed_values_of_clients_keys_replace_the_gateway_that_reads_them() -> None:
    keys = ApiKeysData(SecretData("api-keys", "value"), "x-api-key")
    gateway = sample().gateway
    assert gateway is not None
    described = msgspec.structs.replace(sample(), gateway=msgspec.structs.replace(gateway, api_keys=keys))
    plan = make(described)
    changed = {str(FOLDER / "environments" / "local.toml")}
    assert set(affected(plan, plan, changed).replace) == {"envoy"}
    assert effect("environments/local.toml") == (set(), set())


def test_a_file_with_an_issuers_keys_is_part_of_the_declaration() -> None:
    keys = str(FOLDER / "keys.json")
    assert not is_relevant(keys, sample())
    assert is_relevant(keys, msgspec.structs.replace(sample(), files=(*sample().files, keys)))
