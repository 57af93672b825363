"""Software lists, judged by CycloneDX' own schema and by the reader of package URLs."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from atoll.kubernetes.reference import Base
from atoll.kubernetes.software import Package, Software, document, integrity

DIGEST = f"sha256:{'1' * 64}"
PACKAGES = (
    Package("pypi", "Some_Package", "1.0+local", (DIGEST,)),
    Package("npm", "@scope/name", "2.0.0", (f"sha512:{'2' * 128}",), is_optional=True),
    Package("npm", "plain", "0.1.0"),
)
BASES = (Base("python:3.13-slim"), Base("localhost:5000/team/python:3.13", DIGEST), Base(f"quay.io/node@{DIGEST}"))


def listed(software: Software) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(document("registry.example.com/shop/cart", "0123456789ab", software, "1.0"))
    return made


def faults(text: str) -> str:
    """What the schema says against it."""
    return str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) or "")


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_schema_of_cyclonedx_accepts_it(is_whole: bool) -> None:
    made = listed(Software(PACKAGES, BASES, is_whole))
    assert faults(json.dumps(made)) == ""
    made["components"][0]["type"] = "thing"
    assert "thing" in faults(json.dumps(made))


def test_each_package_is_in_it_with_version_hash_and_address() -> None:
    found = {each["name"]: each for each in listed(Software(PACKAGES, (), is_whole=True))["components"]}
    assert found["Some_Package"]["purl"] == "pkg:pypi/some-package@1.0%2Blocal"
    assert found["Some_Package"]["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]
    assert found["@scope/name"]["purl"] == "pkg:npm/%40scope/name@2.0.0"
    assert found["@scope/name"]["scope"] == "optional"
    assert "hashes" not in found["plain"]


def test_addresses_are_as_their_own_reader_writes_them() -> None:
    for each in listed(Software(PACKAGES, BASES, is_whole=True))["components"]:
        read = PackageURL.from_string(each["purl"])
        assert PackageURL.from_string(read.to_string()) == read
    pinned = PackageURL.from_string(listed(Software((), BASES[1:2], is_whole=True))["components"][0]["purl"])
    assert (pinned.type, pinned.name, pinned.version) == ("oci", "python", DIGEST)
    assert pinned.qualifiers == {"repository_url": "localhost:5000/team/python", "tag": "3.13"}


def test_it_says_that_more_may_be_inside_where_that_is_so() -> None:
    own = listed(Software((), BASES[:1], is_whole=False))
    assert [each["aggregate"] for each in own["compositions"]] == ["unknown", "unknown"]
    made = listed(Software(PACKAGES, BASES[:1], is_whole=True))
    assert [each["aggregate"] for each in made["compositions"]] == ["complete", "unknown"]


def test_the_same_image_gives_the_same_bytes_in_whatever_order() -> None:
    one, other = (Software(each, BASES, is_whole=True) for each in (PACKAGES, PACKAGES[::-1]))
    assert document("a", "b", one, "1") == document("a", "b", other, "1")


def test_the_hashes_of_npm_are_read_and_what_is_none_is_left_out() -> None:
    assert integrity("sha1-AAAA sha512-AQI=?x md5-AQI= broken") == ("sha1:000000", "sha512:0102")
