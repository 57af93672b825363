import json

import pytest

from atoll.errors import AtollError
from atoll.kubernetes.package_lock import read_package_lock, with_addresses

ADDRESS = "resolved"
HASH = "sha512-" + "A" * 86 + "=="
LOCK = {
    "lockfileVersion": 3,
    "packages": {
        "": {"name": "web"},
        "node_modules/ms": {"version": "2.1.3", "integrity": HASH},
        "node_modules/@scope/it": {"version": "1.0.0", "integrity": HASH, "optional": True, ADDRESS: "https://x/it"},
        "node_modules/ms/node_modules/renamed": {"name": "real", "version": "3.0.0", "integrity": HASH},
        "node_modules/mocha": {"version": "9.0.0", "integrity": HASH, "dev": True},
        "node_modules/part": {ADDRESS: "part", "link": True},
    },
}


def files(lock: object = None, **package: object) -> dict[str, bytes]:
    found = {"package.json": json.dumps(package).encode()}
    return found if lock is None else {**found, "package-lock.json": json.dumps(lock).encode()}


def test_what_runs_is_read_with_its_hashes_and_what_only_develops_is_not() -> None:
    found = read_package_lock(files(LOCK), "web")
    assert [(each.name, each.version, each.is_optional) for each in found] == [
        ("ms", "2.1.3", False),
        ("@scope/it", "1.0.0", True),
        ("real", "3.0.0", False),
    ]
    assert {each.hashes for each in found} == {(f"sha512:{'00' * 64}",)}


def test_a_service_without_dependencies_needs_no_lock() -> None:
    assert read_package_lock(files(), "web") == ()


def test_every_package_has_an_address_and_one_that_it_had_stays() -> None:
    packages = json.loads(with_addresses(json.dumps(LOCK).encode()))["packages"]
    assert packages["node_modules/ms"]["resolved"] == "https://packages.invalid/ms/-/ms-2.1.3.tgz"
    assert packages["node_modules/@scope/it"]["resolved"] == "https://x/it"
    assert packages["node_modules/ms/node_modules/renamed"]["resolved"].endswith("/real/-/real-3.0.0.tgz")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (files(dependencies={"ms": "2"}), r"there is no package-lock\.json"),
        (files({"lockfileVersion": 1, "dependencies": {}}), "its version 1 lists no packages"),
        (files({"packages": {"node_modules/git": {"version": "1.0.0"}}}), "git has no hash"),
        ({**files(), "package-lock.json": b"{"}, "it is no JSON"),
    ],
)
def test_what_can_not_be_installed_alike_every_time_is_refused(given: dict[str, bytes], reason: str) -> None:
    with pytest.raises(AtollError, match=reason):
        read_package_lock(given, "web")
