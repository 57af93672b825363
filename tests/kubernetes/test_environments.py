"""environments/NAME.toml: its structure, and the page that lists its entries."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import msgspec
import pytest

from atoll.errors import BAD_ENVIRONMENT, AtollError
from atoll.kubernetes.check import environment_problems
from atoll.kubernetes.environment import Environment, ServiceIn, TelemetryIn
from atoll.kubernetes.names import Target
from atoll.kubernetes.project import read_environment
from atoll.kubernetes.structure import worded
from atoll.kubernetes.written import Written, lines_of
from atoll.wire.description import Description

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "environments.md"
_ROW = re.compile(r"\| `(.+?)` \| (.+?) \| `(.*?)` \| (.+) \|")


def test_every_mistake_of_structure_is_told_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "environments"
    folder.mkdir()
    (folder / "staging.toml").write_text("""\
namespce = "x"
images = 3

[gateway]
replica = 2
replicas = "two"
hosts = ["a.example.com", 3]

[services.cart]
replicas = [1, 2, 3]
volumes = { "/a" = 1 }

[telemetry]
colector = true
kept_days = 1
""")
    read = read_environment(tmp_path, "staging", tmp_path)
    found = read.problems
    assert {each.code for each in found.values()} == {BAD_ENVIRONMENT.code}
    assert set(found) == {
        "namespce",
        "images",
        "gateway.replica",
        "gateway.replicas",
        "gateway.hosts",
        "services.cart.replicas",
        "services.cart.volumes./a",
        "telemetry.colector",
    }
    assert found["gateway.replica"].has[0] == "replicas"
    assert found["telemetry.colector"].has[0] == "collector"
    assert found["gateway.replicas"].sentence.endswith("is 'two': expected whole number.")
    assert "docs/reference/environments.md" in found["gateway.replicas"].do
    # Each is told with its line, and what is right beside it is read.
    assert {entry: each.place for entry, each in found.items()} == {
        "namespce": "environments/staging.toml:1",
        "images": "environments/staging.toml:2",
        "gateway.replica": "environments/staging.toml:5",
        "gateway.replicas": "environments/staging.toml:6",
        "gateway.hosts": "environments/staging.toml:7",
        "services.cart.replicas": "environments/staging.toml:10",
        "services.cart.volumes./a": "environments/staging.toml:11",
        "telemetry.colector": "environments/staging.toml:14",
    }
    assert read.environment == Environment(services={"cart": ServiceIn()}, telemetry=TelemetryIn(kept_days=1.0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[faults]\nallowed = "yes"\n', "faults.allowed is 'yes': expected true or false."),
        ("[gateway]\nhosts = [1]\n", "gateway.hosts is [1]: expected list of text."),
        ("[services.a]\nreplicas = [1]\n", "services.a.replicas is [1]: expected whole number or [least, most]."),
    ],
)
def test_a_wrong_type_is_told_in_the_words_of_the_reference(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "staging.toml").write_text(text)
    (problem,) = read_environment(tmp_path, "staging", tmp_path).problems.values()
    assert problem.sentence == says


@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_of_this_machine_is_no_environment_of_a_cluster(tmp_path: Path, is_there: bool) -> None:
    # Given values of secrets, which a cluster's environment would take for names
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "staging.toml").touch()
    if is_there:
        (tmp_path / "environments" / "local.toml").write_text('[secrets]\nkey = "hunter2-prod-key"\n')
    with pytest.raises(AtollError, match=r"ATL5016 .*this machine's own") as caught:
        read_environment(tmp_path, "local", tmp_path)
    assert caught.value.problems[0].has == ("staging",)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['[secrets]\nkey = "Hunter2!"\n', "[secrets]\nkey = 918273\n", 'secrets = "Hunter2!"\n']
)
def test_no_value_of_a_secret_is_told(tmp_path: Path, shop: Description, text: str) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "staging.toml").write_text(text)
    read = read_environment(tmp_path, "staging", tmp_path)
    found = [*read.problems.values(), *environment_problems(Target(shop, read.environment), read.written)]
    assert [each for each in found if each.sentence.startswith("secrets")]
    assert not [each for each in found if "Hunter2" in str(each) or "918273" in str(each)]


def test_what_is_right_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "environments"
    folder.mkdir()
    (folder / "staging.toml").write_text("[services.cart]\nreplicas = [1, 2]\n[telemetry]\nkept_days = 2\n")
    read = read_environment(tmp_path, "staging", tmp_path).environment
    assert (read.services["cart"].replicas, read.telemetry.kept_days) == ((1, 2), 2.0)


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "shop" / "environments"
    folder.mkdir(parents=True)
    (folder / "staging.toml").write_text("[gateway]\nreplicas = \n")
    with pytest.raises(AtollError) as caught:
        read_environment(tmp_path / "shop", "staging", tmp_path)
    assert [each.place for each in caught.value.problems] == ["shop/environments/staging.toml:2"]


def test_an_entry_is_found_however_it_is_written() -> None:
    lines = lines_of("""\
cluster.namespace = "x"

[ services."the cart" ]
replicas = 2  # [gateway]
volumes = { "/a" = "1Gi" }
"environment" . A = "b"
[services.email.volumes]
"/app/.atoll" = "1Gi"
""")
    written = Written("file.toml", lines)
    assert {entry: written.at(entry) for entry in lines} == {
        "cluster.namespace": "file.toml:1",
        "services.the cart": "file.toml:3",
        "services.the cart.replicas": "file.toml:4",
        "services.the cart.volumes": "file.toml:5",
        "services.the cart.environment.A": "file.toml:6",
        "services.email.volumes": "file.toml:7",
        "services.email.volumes./app/.atoll": "file.toml:8",
    }
    assert written.at("services.the cart.volumes./a") == "file.toml:5"
    assert written.at("[services.the cart]") == "file.toml:3"
    assert written.at("gateway.parent") == "file.toml"


def test_the_page_lists_every_entry_with_its_type_and_its_default() -> None:
    listed = [(found[1], found[2], found[3]) for found in map(_ROW.fullmatch, PAGE.read_text().splitlines()) if found]
    assert listed == list(rows(Environment))


def rows(kind: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, str, str]]:
    for each in msgspec.structs.fields(kind):
        name = f"{path}{each.encode_name}"
        inner = each.type
        if get_origin(inner) is dict and is_struct(get_args(inner)[1]):
            name, inner = f"{name}.NAME", get_args(inner)[1]
        if is_struct(inner):
            yield from rows(inner, f"{name}.")
        else:
            made = getattr(kind(), each.name)
            value = "none" if made is None else msgspec.json.encode(made).decode()
            yield name, worded(inner), value


def is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
