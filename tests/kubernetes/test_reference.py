import pytest

from atoll.kubernetes.reference import Base, Reference

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("name", "registry", "path", "tag"),
    [
        ("python", "docker.io", "library/python", "latest"),
        ("python:3.13-slim", "docker.io", "library/python", "3.13-slim"),
        ("envoyproxy/envoy:v1", "docker.io", "envoyproxy/envoy", "v1"),
        ("quay.io/team/app", "quay.io", "team/app", "latest"),
        ("localhost/app:1", "localhost", "app", "1"),
        ("localhost:5000/team/app", "localhost:5000", "team/app", "latest"),
        (f"python@{DIGEST}", "docker.io", "library/python", ""),
    ],
)
def test_a_name_is_read_as_docker_reads_it(name: str, registry: str, path: str, tag: str) -> None:
    read = Reference.parsed(name)
    assert (read.registry, read.path, read.tag) == (registry, path, tag)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("python", "https://index.docker.io"),
        ("quay.io/app", "https://quay.io"),
        ("quay.io:5000/app", "https://quay.io:5000"),
        ("localhost:5000/app", "http://localhost:5000"),
        ("127.0.0.9:5000/app", "http://127.0.0.9:5000"),
    ],
)
def test_only_a_registry_of_this_machine_is_asked_without_encryption(name: str, address: str) -> None:
    assert Reference.parsed(name).address == address


def test_a_digest_takes_the_place_of_the_tag() -> None:
    assert Base("localhost:5000/python:3.13", DIGEST).name == f"localhost:5000/python@{DIGEST}"
    assert Base("localhost:5000/python", DIGEST).name == f"localhost:5000/python@{DIGEST}"
    assert Base("python:3.13").name == "python:3.13"
