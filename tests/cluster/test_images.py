"""What `atoll build` makes, layer by layer, on a real Docker and with a real registry."""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.cluster.cluster import Cluster
from tests.cluster.docker import REGISTRY_PORT
from tests.cluster.forwarding import forwarded
from tests.cluster.place import chosen
from tests.cluster.programs import Failed, run
from tests.cluster.saved import Layer, Saved, saved
from tests.cluster.small import SECRET, Small, lock, make_package_lock
from tests.conftest import find_program
from tests.waiting import until

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
NPM = "npm@10.9.4"
NODE_BASE = "atoll-test/npm:bookworm"
PYTHON_BASE = "atoll-test/python:bookworm"
# Nothing of these names may be put on a base: compilers, installers, tests.
FORBIDDEN = re.compile(
    r"/(gcc|cc|g\+\+|make|ld|pip[\d.]*|uv|wheel|npm|npx)$"
    r"|/site-packages/(pip|setuptools|wheel)(/|-)|^app/(.*/)?(tests?/|test_)|\.test\.js$|\.whl$|/\.(env|npm)"
)
# What `atoll new` begins a project with.
TEMPLATE = "/atoll/cli/template/"

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def registry(cluster: Cluster) -> Iterator[str]:
    """Its name, here and for the cluster's Docker, which takes what is on its own loopback for its own."""
    if not cluster.docker.registry:
        pytest.skip("needs the registry of a cluster that the tests made")
    name = f"127.0.0.{chosen(os.environ).number + 2}"
    with forwarded((name, REGISTRY_PORT), (cluster.node_address, REGISTRY_PORT)):
        yield f"{name}:{REGISTRY_PORT}"


@pytest.fixture(scope="module")
def package_lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package_lock(find_program("npm"), tmp_path_factory.mktemp("lock"))


@pytest.fixture(scope="module")
def bases(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What stands in for python:slim and node:slim; Debian's nodejs comes without npm, so that is put on it."""
    for name in ("python", "node"):
        cluster.docker.base(name)
    if cluster.docker.run("images", "--quiet", NODE_BASE):
        return
    folder = tmp_path_factory.mktemp("npm")
    run([find_program("npm"), "pack", NPM], folder=folder)
    (archive,) = folder.glob("*.tgz")
    (folder / "Dockerfile").write_text(
        f"FROM atoll-test/node:bookworm\nADD {archive.name} /opt/npm/\n"
        "RUN ln -s /opt/npm/package/bin/npm-cli.js /usr/bin/npm && chmod +x /opt/npm/package/bin/npm-cli.js\n"
    )
    cluster.docker.build(NODE_BASE, folder)


@pytest.fixture(scope="module")
def copied(cluster: Cluster, registry: str, bases: None, package_lock: Path) -> Callable[[Path], Small]:
    """Writes another copy of the same system into a folder."""

    def copy(folder: Path, base: str = PYTHON_BASE) -> Small:
        environment = (
            f'[images]\nregistry = "{registry}/small"\nbase = "{base}"\npython = "3.11"\nnode = "{NODE_BASE}"\n'
            'include = ["small/greet/example.p12"]\n'
        )
        return Small.written(folder, cluster.docker, environment, package_lock)

    return copy


@pytest.fixture(scope="module")
def small(copied: Callable[[Path], Small], tmp_path_factory: pytest.TempPathFactory) -> Small:
    return copied(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def built(small: Small) -> dict[str, str]:
    """The references of all images by name."""
    return small.build()


@pytest.fixture(scope="module")
def images(small: Small, built: dict[str, str]) -> dict[str, Saved]:
    return {name: saved(small.docker, reference) for name, reference in built.items()}


def own_layers(small: Small, images: dict[str, Saved], name: str) -> Sequence[Layer]:
    return images[name].above(saved(small.docker, NODE_BASE if name == "web" else PYTHON_BASE))


def test_no_layer_has_a_compiler_an_installer_a_test_or_a_secret(small: Small, images: dict[str, Saved]) -> None:
    assert set(images) == {"greet", "clock", "own", "web"}
    for name in images:
        for layer in own_layers(small, images, name):
            wrong = [path for path in layer.entries if FORBIDDEN.search(path) and TEMPLATE not in path]
            assert wrong == []
    archive = small.folder / "all.tar"
    small.docker.run("save", "--output", archive, *small.build().values())
    assert SECRET.encode() not in archive.read_bytes()
    assert b"Hello, " in archive.read_bytes()  # so that what is looked for would be found


def test_what_is_meant_to_be_there_is_there_whatever_it_is_called(images: dict[str, Saved]) -> None:
    assert "app/small/greet/example.p12" in images["greet"].layers[-1].entries
    assert not [path for path in images["greet"].layers[-1].entries if "id_rsa" in path]


def test_every_file_is_roots_and_nobody_else_may_write_it(small: Small, images: dict[str, Saved]) -> None:
    for name in images:
        for layer in own_layers(small, images, name):
            for entry in layer.entries.values():
                assert entry.owner == (0, 0)
                assert entry.kind == "2" or not entry.mode & 0o022  # a link's mode means nothing


def test_services_share_all_layers_but_the_small_last_one(images: dict[str, Saved]) -> None:
    one, other = ([layer.digest for layer in images[name].layers] for name in ("greet", "clock"))
    assert one[:-1] == other[:-1]
    assert one[-1] != other[-1]
    for name in ("greet", "clock", "web"):
        assert images[name].layers[-1].size < 10_000


@pytest.mark.parametrize("name", ["greet", "clock", "own", "web"])
def test_it_runs_as_10001_on_a_root_that_can_not_be_written(
    small: Small, images: dict[str, Saved], built: dict[str, str], name: str
) -> None:
    assert images[name].configuration["User"] == "10001:10001"
    script = 'test "$(id -u):$(id -g)" = 10001:10001 && ! touch /app/x 2>/dev/null && touch /tmp/x'
    safe = ("--rm", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=none")
    small.docker.run("run", *safe, "--entrypoint=sh", built[name], "-c", script)


@pytest.mark.parametrize("name", ["greet", "web"])
def test_its_own_health_check_finds_it_healthy(small: Small, built: dict[str, str], name: str, tmp_path: Path) -> None:
    small.atoll("render", "compose", "--output", str(tmp_path))
    arguments: Sequence[str] = ()
    options = ["--detach", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--health-interval=1s"]
    if name == "greet":
        options.append(f"--volume={tmp_path / 'greet' / 'launch.json'}:/etc/atoll/launch.json:ro")
        arguments = ("/etc/atoll/launch.json",)
    container = small.docker.run("run", *options, built[name], *arguments).strip()

    def health() -> str:
        return small.docker.run("inspect", "--format={{.State.Health.Status}}", container).strip()

    try:
        until(
            lambda: health() == "healthy",
            "healthy",
            within=60,
            every=0.5,
            why=lambda: small.docker.run("logs", container),
        )
    finally:
        small.docker.run("rm", "--force", container)


def test_a_program_with_its_own_dockerfile_keeps_its_files_and_their_modes(
    small: Small, images: dict[str, Saved], built: dict[str, str]
) -> None:
    files = images["own"].layers[-1].entries
    assert files["app/start.sh"].mode & 0o777 == 0o755
    assert files["app/server.py"].mode & 0o777 == 0o644
    assert "app/.version" in files
    assert not {"app/notes", "app/.env.production"} & set(files)
    assert small.docker.run("run", "--rm", "--network=none", built["own"], "/app/start.sh").strip() == "own"


def test_the_packages_of_a_node_service_are_installed_and_their_cache_is_not(images: dict[str, Saved]) -> None:
    paths = {path for layer in images["web"].layers[-3:] for path in layer.entries}
    assert "app/node_modules/ms/index.js" in paths
    assert "app/server.js" in paths
    assert not [path for path in paths if "_cacache" in path or path.startswith(("npm", "root", "tmp"))]


def test_the_same_sources_give_the_same_files_modes_and_hashes_in_each_layer(
    small: Small,
    images: dict[str, Saved],
    built: dict[str, str],
    copied: Callable[[Path], Small],
    tmp_path: Path,
) -> None:
    small.docker.run("rmi", "--force", *built.values())
    small.docker.run("builder", "prune", "--all", "--force")
    other = copied(tmp_path / "elsewhere")
    assert other.build() == built
    for name, reference in built.items():
        again = saved(small.docker, reference)
        assert [each.entries for each in again.layers] == [each.entries for each in images[name].layers]
        # It was made anew: times are in a layer's digest.
        assert again.layers[-1].digest != images[name].layers[-1].digest


def test_a_change_of_code_moves_only_the_last_layer_of_that_service(
    small: Small, copied: Callable[[Path], Small], tmp_path: Path
) -> None:
    # Given an image that is made now: the layers below it are those that the builder has
    copy = copied(tmp_path / "changed")
    copy.edit("small/greet/service.py", "Hello, ", "Good morning, ")
    before = built_and_pushed(copy)
    copy.edit("small/greet/service.py", "Good morning, ", "Good day, ")
    after = built_and_pushed(copy)
    assert {name for name in before if before[name] != after[name]} == {"greet"}
    old, new = (saved(small.docker, references["greet"]) for references in (before, after))
    assert [each.digest for each in old.layers[:-1]] == [each.digest for each in new.layers[:-1]]
    changed = {path for path, each in new.layers[-1].entries.items() if old.layers[-1].entries[path] != each}
    assert changed == {"app/small/greet/service.py"}
    # So in the registry, where they are pulled from.
    one, other = (manifest(references["greet"])["layers"] for references in (before, after))
    assert one[:-1] == other[:-1]
    assert other[-1]["size"] < 5_000


def built_and_pushed(copy: Small) -> dict[str, str]:
    """Here too, which a push does not see to where the registry has it already."""
    built = copy.build()
    assert copy.build("--push") == built
    return built


def test_another_machine_neither_builds_nor_pushes_what_the_registry_has(
    small: Small, built: dict[str, str], copied: Callable[[Path], Small], tmp_path: Path
) -> None:
    # Given a machine that pushed everything, and one that has nothing
    assert built_and_pushed(small) == built
    digests = {name: digest_of(reference) for name, reference in built.items()}
    small.docker.run("rmi", "--force", *built.values())
    small.docker.run("builder", "prune", "--all", "--force")
    other = copied(tmp_path)
    try:
        # When that one is to build and push all of it
        said = other.atoll("build", "--push", "--builder", small.docker.program)
        # Then it says that it does not, and has made nothing
        for reference in built.values():
            assert f"{reference} is at its registry: neither built nor pushed" in said
            assert not small.docker.run("images", "--quiet", reference)
        assert "is built" not in said
        assert not other.built.joinpath("python").exists()
        # And after a change it makes what is new alone
        other.edit("small/clock/service.py", "time.time()", "time.time() + 1")
        after = other.build("--push")
        assert {name for name in built if after[name] != built[name]} == {"clock"}
        assert [each for each in after.values() if small.docker.run("images", "--quiet", each)] == [after["clock"]]
        assert {name: digest_of(built[name]) for name in built} == digests
    finally:
        small.build()


def manifest(reference: str) -> dict[str, list[dict[str, int]]]:
    registry, _, rest = reference.partition("/")
    path, _, tag = rest.rpartition(":")
    answer = httpx.get(f"http://{registry}/v2/{path}/manifests/{tag}", headers={"Accept": MANIFEST}, timeout=20)
    found: dict[str, list[dict[str, int]]] = answer.raise_for_status().json()
    return found


def test_tags_are_pinned_by_what_the_registry_says_and_then_builds_and_manifests_use_the_digest(
    registry: str, copied: Callable[..., Small], tmp_path: Path
) -> None:
    names = [f"{registry}/base/{name}:bookworm" for name in ("python", "node")]
    copy = copied(tmp_path, base=names[0])
    for local, name in zip((PYTHON_BASE, NODE_BASE), names, strict=True):
        copy.docker.run("tag", local, name)
        copy.docker.run("push", name)
    copy.edit("small/environments/test.toml", f'node = "{NODE_BASE}"', f'node = "{names[1]}"')
    tagged = copy.build()
    pinned = copy.build("--pin")
    digests = [digest_of(name) for name in names]
    text = (copy.folder / "small" / "environments" / "test.lock.toml").read_text()
    assert [line for line in text.splitlines() if " = " in line] == sorted(
        f'"{name}" = "{digest}"' for name, digest in zip(names, digests, strict=True)
    )
    assert {name for name in pinned if pinned[name] != tagged[name]} == {"greet", "clock", "web"}
    labels = saved(copy.docker, pinned["greet"]).configuration["Labels"]
    assert labels["org.opencontainers.image.base.name"] == names[0]
    assert labels["org.opencontainers.image.base.digest"] == digests[0]
    rendered = copy.atoll("render", "kubernetes")
    assert all(reference in rendered for reference in pinned.values())
    # The tag moves on: what is pinned stays, until it is asked for again.
    (tmp_path / "Dockerfile").write_text(f"FROM {PYTHON_BASE}\nRUN touch /moved\n")
    copy.docker.build(names[0], tmp_path)
    copy.docker.run("push", names[0])
    assert copy.build() == pinned
    assert copy.build("--pin", "own") == {"own": pinned["own"]}
    assert copy.build("greet") != {"greet": pinned["greet"]}
    with pytest.raises(Failed, match=r"test\.lock\.toml has no digest of elsewhere/python:3"):
        copy.build("greet", "--base", "elsewhere/python:3")


def digest_of(reference: str) -> str:
    """By the definition: the hash of the manifest's bytes."""
    registry, _, rest = reference.partition("/")
    path, _, tag = rest.rpartition(":")
    answer = httpx.get(f"http://{registry}/v2/{path}/manifests/{tag}", headers={"Accept": MANIFEST}, timeout=20)
    return f"sha256:{sha256(answer.raise_for_status().content).hexdigest()}"


def test_another_base_is_built_from_where_it_is_asked_for(small: Small, built: dict[str, str]) -> None:
    small.docker.run("tag", PYTHON_BASE, "atoll-test/other:1")
    other = small.build("greet", "--base", "atoll-test/other:1")
    assert other != {"greet": built["greet"]}
    labels = saved(small.docker, other["greet"]).configuration["Labels"]
    assert labels["org.opencontainers.image.base.name"] == "atoll-test/other:1"
    assert other["greet"] in small.atoll("render", "kubernetes", "--base", "atoll-test/other:1")


def test_each_image_has_a_list_of_its_software(small: Small) -> None:
    found = {}
    for name, reference in small.build().items():
        text = (small.built / "sbom" / f"{name}-{reference.rpartition(':')[2]}.cdx.json").read_text()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
        found[name] = json.loads(text)
    packages = {each["purl"]: each for each in found["greet"]["components"]}
    wheels = {sha256(each.read_bytes()).hexdigest() for each in small.built.glob("python/wheels/*.whl")}
    locked = re.findall(r"^([\w-]+)==(\S+)", (small.folder / "requirements.txt").read_text(), re.MULTILINE)
    assert {f"pkg:pypi/{name}@{version}" for name, version in locked} < set(packages)
    assert wheels == {each["hashes"][0]["content"] for each in packages.values() if "hashes" in each}
    assert "pkg:docker/atoll-test/python@bookworm" in packages
    assert "pkg:npm/ms@2.1.3" in {each["purl"] for each in found["web"]["components"]}
    assert found["own"]["compositions"][0]["aggregate"] == "unknown"


@pytest.mark.needs_program("buildah")
def test_buildah_builds_the_same_files(
    small: Small, images: dict[str, Saved], built: dict[str, str], program: Callable[[str], str], tmp_path: Path
) -> None:
    storage = tmp_path / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tmp_path / "graph"}"\nrunroot = "{tmp_path / "run"}"\n'
    )
    environment = {"CONTAINERS_STORAGE_CONF": str(storage)}
    archive, buildah = tmp_path / "base.tar", program("buildah")
    small.docker.run("save", "--output", archive, PYTHON_BASE)
    run([buildah, "pull", f"docker-archive:{archive}"], environment=environment)
    base = f"localhost/{PYTHON_BASE}"
    arguments = ("build", "greet", "--json", "--base", base, "--builder", buildah)
    (reference,) = json.loads(small.atoll(*arguments, environment=environment)).values()
    exported = tmp_path / "greet.tar"
    run([buildah, "push", reference, f"docker-archive:{exported}:{reference}"], environment=environment, within=120)
    small.docker.run("load", "--input", exported)
    again = saved(small.docker, reference)
    assert again.layers[-1].entries.keys() >= images["greet"].layers[-1].entries.keys()
    assert again.configuration["User"] == "10001:10001"
    assert again.configuration["Healthcheck"] == images["greet"].configuration["Healthcheck"]
    # What is there is not built again.
    assert "is there" in small.atoll(*[each for each in arguments if each != "--json"], environment=environment)


def test_the_lock_that_is_tried_is_the_projects_own() -> None:
    assert (
        lock("asyncpg==1 \\\n    --hash=a\nhttptools==1\nmsgspec==1\nnats-py==1\nother==2\nuvloop==1\n").count("==")
        == 5
    )
