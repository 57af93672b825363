"""The programs of Kubernetes, built from their pinned Go modules once per machine."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.programs import Failed, find, persistently, run

MODULES = Path(__file__).parent / "modules"
PREFIX = "building-"
BUILD_LIMIT = 40 * 60.0
# Without C, so that neither a compiler nor the machine's C library is needed.
ENVIRONMENT: Mapping[str, str] = {"CGO_ENABLED": "0", "GOWORK": "off"}


@dataclass(frozen=True)
class Module:
    """A Go module in a folder of root. version_of: a dependency whose version its programs tell, and the variable."""

    name: str
    programs: Sequence[str]
    package: str = "tool"
    version_of: tuple[str, str] | None = None
    root: Path = MODULES

    @property
    def folder(self) -> Path:
        return self.root / self.name

    def flags(self) -> list[str]:
        linker = "-s -w"
        if self.version_of is not None:
            dependency, variable = self.version_of
            linker += f" -X {variable}={required_version(self.folder.joinpath('go.mod').read_text(), dependency)}"
        return ["-trimpath", f"-ldflags={linker}"]


BUILT: Sequence[Module] = (
    Module("pause", ["pause"], package="."),
    Module(
        "kubernetes",
        ["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"],
        version_of=("k8s.io/kubernetes", "k8s.io/component-base/version.gitVersion"),
    ),
    Module("coredns", ["coredns"]),
    Module("metrics-server", ["metrics-server"]),
)
# In each dependency of modules/definitions, the files with the definitions that the cluster is to know.
DEFINITIONS: Mapping[str, Sequence[str]] = {
    "sigs.k8s.io/gateway-api": [
        "config/crd/standard/gateway.networking.k8s.io_gatewayclasses.yaml",
        "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ],
    "github.com/prometheus-operator/prometheus-operator": [
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
}


@dataclass(frozen=True)
class Binaries:
    """What is built. cache: the folder that everything is in; programs: where in it, by name."""

    cache: Path
    programs: Mapping[str, Path]
    definitions: Path

    def path(self, program: str) -> Path:
        return self.cache / self.programs[program]

    @property
    def are_built(self) -> bool:
        return self.definitions.exists() and all(self.path(program).exists() for program in self.programs)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Outside every checkout, so that they share it."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache", "atoll", "cluster")


def required_version(go_mod: str, dependency: str) -> str:
    """The version of a dependency in a go.mod, such as v1.36.3. Touches nothing."""
    found = re.search(rf"^(?:require)?\s*{re.escape(dependency)} (v\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ValueError(f"go.mod does not require {dependency}")
    return found[1]


def fingerprint(files: Mapping[str, bytes], flags: Sequence[str]) -> str:
    """Tells builds apart that differ in what they are made from. Touches nothing."""
    digest = hashlib.sha256(json.dumps([*flags, sorted(ENVIRONMENT.items())]).encode())
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def planned(cache: Path) -> Binaries:
    """Where in the cache everything is once it is built."""
    programs = {program: Path(_name(module), program) for module in BUILT for program in module.programs}
    return Binaries(cache, programs, cache / _name_of_definitions())


def build(cache: Path, say: Callable[[str], None]) -> None:
    """Build what is not in the cache yet: minutes the first time, nothing from then on.

    say: told what is built and how long it took. Raises Failed if Go is missing or refuses.
    """
    with locked(cache):
        for module in BUILT:
            make(cache, _name(module), partial(_build, module), say)
        make(cache, _name_of_definitions(), _copy_definitions, say)


def _name(module: Module) -> str:
    return f"{module.name}-{_fingerprint_of(module.folder, module.flags())}"


def _name_of_definitions() -> str:
    wanted = [f"{module} {file}" for module, files in DEFINITIONS.items() for file in files]
    return f"definitions-{_fingerprint_of(MODULES / 'definitions', wanted)}"


def _fingerprint_of(module: Path, flags: Sequence[str]) -> str:
    sources = [path for path in module.iterdir() if path.suffix in {".mod", ".sum", ".go"}]
    return fingerprint({path.name: path.read_bytes() for path in sources}, flags)


def make(cache: Path, name: str, make: Callable[[Path], None], say: Callable[[str], None]) -> None:
    """A folder of this name, where it is missing; it is there as a whole or not at all."""
    folder = cache / name
    if not folder.exists():
        begun = time.monotonic()
        say(f"building {name}")
        unfinished = Path(tempfile.mkdtemp(prefix=PREFIX, dir=cache))
        unfinished.chmod(0o755)
        make(unfinished)
        unfinished.rename(folder)
        say(f"built {name} in {time.monotonic() - begun:.0f} s")


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One builder at a time; it removes what a killed one left."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.glob(f"{PREFIX}*"):
            shutil.rmtree(left)
        yield


def go(module: Path, arguments: Sequence[str]) -> str:
    go = shutil.which("go")
    if go is None:
        needed = re.search(r"^go (\S+)", module.joinpath("go.mod").read_text(), re.MULTILINE)
        raise Failed(f"Go {needed[1] if needed else ''} or newer must be on the PATH to build the cluster's programs")
    # Other work on the machine comes first.
    nice = [found, "-n", "10"] if (found := find("nice")) else []
    command = [*nice, go, *arguments]
    return persistently(lambda: run(command, within=BUILD_LIMIT, environment=ENVIRONMENT, folder=module))


def _build(module: Module, folder: Path) -> None:
    go(module.folder, ["build", *module.flags(), "-o", f"{folder}{os.sep}", module.package])
    missing = [program for program in module.programs if not (folder / program).exists()]
    if missing:
        raise Failed(f"building {module.name} did not make {', '.join(missing)}")


def _copy_definitions(folder: Path) -> None:
    module = MODULES / "definitions"
    for dependency, files in DEFINITIONS.items():
        source = Path(json.loads(go(module, ["mod", "download", "-json", dependency]))["Dir"])
        for file in files:
            shutil.copyfile(source / file, folder / Path(file).name)
