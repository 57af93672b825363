"""The article's tools, from where they are published: pinned, checked, and kept in a cache outside every checkout."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.binaries import BUILD_LIMIT, Module, fingerprint, go, locked, make
from tests.cluster.programs import Failed, find, persistently, run

HERE = Path(__file__).parent
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
MAVEN_LIMIT = 10 * 60.0


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "atoll", "tools")


@dataclass(frozen=True)
class Jars:
    """What a folder of maven/ asks for: goal of Maven's dependency plugin; each file's digest is in SHA256SUMS."""

    name: str
    goal: Sequence[str]

    @property
    def folder(self) -> Path:
        return HERE / "maven" / self.name

    @property
    def sums(self) -> dict[str, str]:
        lines = (self.folder / "SHA256SUMS").read_text().splitlines()
        return {name: digest for digest, name in (line.split() for line in lines)}


JAEGER = Module("jaeger", ["all-in-one"], root=HERE / "modules")
ZIPKIN = Jars("zipkin", [f"{COPY}:copy", "-Dartifact=io.zipkin:zipkin-server:3.5.1:jar:exec"])
OPENSEARCH = Jars("opensearch", [f"{COPY}:copy-dependencies"])


def jaeger(cache: Path) -> Path:
    """Where the program is, or would be once it is built."""
    sources = {path.name: path.read_bytes() for path in JAEGER.folder.iterdir()}
    return cache / f"jaeger-{fingerprint(sources, JAEGER.flags())}" / "all-in-one"


def jars(wanted: Jars, cache: Path) -> Path:
    """The folder in which they are, or would be."""
    sources = {path.name: path.read_bytes() for path in wanted.folder.iterdir() if path.suffix != ".java"}
    return cache / f"{wanted.name}-{fingerprint(sources, wanted.goal)}"


def bring(cache: Path, say: Callable[[str], None]) -> None:
    """Build or fetch what is not in the cache yet. Raises Failed."""
    with locked(cache):
        make(cache, jaeger(cache).parent.name, _build, say)
        for wanted in (ZIPKIN, OPENSEARCH):
            make(cache, jars(wanted, cache).name, lambda folder, wanted=wanted: _fetch(wanted, folder, cache), say)  # type: ignore[misc]


def _build(folder: Path) -> None:
    go(JAEGER.folder, ["build", *JAEGER.flags(), "-o", f"{folder}{os.sep}", JAEGER.package])


def _fetch(wanted: Jars, folder: Path, cache: Path) -> None:
    maven = find("mvn")
    if maven is None:
        raise Failed("Maven must be on the PATH to fetch Zipkin and OpenSearch: Debian's package is maven")
    local = cache / "maven"
    options = ["-q", "-B", f"-Dmaven.repo.local={local}", f"-DoutputDirectory={folder}"]
    command = [maven, *options, *wanted.goal]
    persistently(lambda: run(command, within=min(MAVEN_LIMIT, BUILD_LIMIT), folder=wanted.folder))
    shutil.rmtree(local)
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    if wrong := sorted(name for name in found | wanted.sums if found.get(name) != wanted.sums.get(name)):
        raise Failed(f"{wanted.name} is not what SHA256SUMS says: {', '.join(wrong)}")
