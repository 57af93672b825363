"""Images as values: which files are in them, how they are built, and what they are called."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from atoll.kubernetes import credentials
from atoll.kubernetes.names import ADMIN_PORT, CODE, USER, Target, admin_port_of, port_of
from atoll.kubernetes.package_lock import LOCK, PACKAGE, read_package_lock, with_addresses
from atoll.kubernetes.reference import Base
from atoll.kubernetes.resolve import project_of
from atoll.kubernetes.software import Package
from atoll.wire.description import MemberData

PYTHON_CONTEXT = "python"
"""The folder that the images of all services in Python are built in."""

NODE_SOURCES = "src"
"""The folder of a context that has the files of a service in Node.js as they are."""

MADE = "# Made by `atoll build`; a Dockerfile of your own in the member's folder takes its place.\n"
_PERIODS = "--interval=10s --timeout=3s --start-period=30s"
_NODE_TEST = re.compile(r"\.(test|spec)\.[a-z]+$")
_MADE = frozenset({"__pycache__", "node_modules"})
_HEALTHCHECK = re.compile(r"^\s*HEALTHCHECK\s", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)
_HEALTH = "import os, urllib.request; urllib.request.urlopen(os.environ['ATOLL_HEALTH'], timeout=2)"

PYTHON = f"""\
{MADE}# One image a service. All of them share what stands above the last COPY.
ARG BASE
FROM ${{BASE}} AS dependencies
# Nothing is fetched: the packages of the lock are beside this file. What installs them stays behind.
RUN --mount=type=bind,source=wheels,target=/wheels \\
    --mount=type=bind,source=requirements.txt,target=/requirements.txt \\
    python3 -m venv /install \\
 && python3 -m venv --without-pip /opt/atoll \\
 && /install/bin/pip --disable-pip-version-check --no-cache-dir --python /opt/atoll/bin/python install \\
    --no-index --find-links=/wheels --no-deps --require-hashes --no-compile --requirement /requirements.txt \\
 && /opt/atoll/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/atoll/lib

FROM ${{BASE}}
COPY --from=dependencies /opt/atoll /opt/atoll
ENV PATH=/opt/atoll/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR {CODE}
USER {USER}:{USER}
ENTRYPOINT ["python", "-m", "atoll.runtime"]
HEALTHCHECK {_PERIODS} CMD ["python", "-c", "{_HEALTH}"]
ARG SERVICE
ARG ADMIN={ADMIN_PORT}
ENV ATOLL_HEALTH=http://127.0.0.1:${{ADMIN}}/health/live
COPY services/${{SERVICE}}/ {CODE}/
"""

_NODE_END = f"""\
ENV NODE_ENV=production
WORKDIR {CODE}
@PACKAGES@USER {USER}:{USER}
@HEALTHCHECK@CMD @COMMAND@
COPY {NODE_SOURCES}/ ./
"""

NODE = f"""\
{MADE}# Above the last COPY stands what changes seldom: the packages of package-lock.json.
ARG BASE
FROM ${{BASE}} AS dependencies
WORKDIR {CODE}
COPY package.json package-lock.json ./
# Nothing is fetched: what the lock names is in the cache beside this file, which npm wants to write to.
RUN --mount=type=bind,source=.npm,target=/npm \\
    cp -r /npm /tmp/npm \\
 && npm ci --omit=dev --offline --no-audit --no-fund --no-update-notifier --cache /tmp/npm \\
 && rm -rf /tmp/npm

FROM ${{BASE}}
{_NODE_END.replace("@PACKAGES@", f"COPY --from=dependencies {CODE}/node_modules ./node_modules{chr(10)}")}"""

NODE_ALONE = f"""\
{MADE}# It needs no packages, and so no stage to install them.
ARG BASE
FROM ${{BASE}}
{_NODE_END.replace("@PACKAGES@", "")}"""

_IGNORE = "".join(
    f"{line}\n"
    for line in (
        "# Everything that is not needed in an image stays out of the build as well.",
        *(f"**/{name}" for name in ("__pycache__", ".git", ".env*", ".atoll", "node_modules")),
        "# So does what is secret by its name; `atoll build` looks into files, too.",
        *(f"**/{name}" for name in credentials.NAMES),
    )
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A program's folder: content by path, and which of them may be run."""

    files: Mapping[str, bytes] = field(repr=False)
    executable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Image:
    """What one image is made of.

    context: the folder it is built in, below the folder of all builds. dockerfile: its text.
    files: of the context, content by path; what they name by hash, such as wheels, need not be among them.
    arguments: of the build. bases: what its last stage begins with, as far as that is known.
    executable: those of the files that are programs. packages: that are fetched and installed, where npm does it.
    version: what its tag begins with, such as "18.6-"; it stands for what is copied in beside the files.
    is_own: whether the Dockerfile is the user's, so that more may be in the image than is known here.
    """

    name: str
    repository: str
    context: str
    dockerfile: str
    files: Mapping[str, bytes] = field(repr=False)
    arguments: Mapping[str, str]
    bases: tuple[Base, ...]
    executable: frozenset[str] = frozenset()
    packages: tuple[Package, ...] = ()
    version: str = ""
    is_own: bool = False

    @property
    def tag(self) -> str:
        """From all that it is made of: other sources give another tag, the same sources the same."""
        digest = sha256(self.dockerfile.encode())
        digest.update(json.dumps(dict(self.arguments), sort_keys=True).encode())
        for path in sorted(self.files):
            digest.update(path.encode() + b"\0" + sha256(self.files[path]).digest())
            if path in self.executable:
                digest.update(b"x")
        return f"{self.version}{digest.hexdigest()[:12]}"

    @property
    def checks_health(self) -> bool:
        """Whether a container of it knows by itself how to ask whether it is well."""
        return _HEALTHCHECK.search(self.dockerfile) is not None

    @property
    def reference(self) -> str:
        return f"{self.repository}/{self.name}:{self.tag}"

    @property
    def labels(self) -> dict[str, str]:
        """OCI annotations. When it was made is not among them: the same sources are the same image."""
        base = self.bases[0] if len(self.bases) == 1 else None
        found = {
            "title": self.name,
            "version": self.tag,
            "base.name": base.written if base else "",
            "base.digest": base.digest if base else "",
        }
        return {f"org.opencontainers.image.{name}": value for name, value in found.items() if value}


def python_image(
    target: Target, member: MemberData, files: Mapping[str, bytes], requirements: str, base: Base
) -> Image:
    """Of a service in Python. files: of the project, by their path below CODE."""
    arguments = {"BASE": base.name, "SERVICE": member.name}
    if admin_port_of(member) != ADMIN_PORT:
        arguments["ADMIN"] = str(admin_port_of(member))
    placed = {f"services/{member.name}/{path}": content for path, content in files.items()}
    return Image(
        member.name,
        repository_of(target),
        PYTHON_CONTEXT,
        PYTHON,
        {**_shared(target, requirements), **placed},
        arguments,
        (base,),
    )


def bare_image(target: Target, name: str, requirements: str, base: Base) -> Image:
    """Of the Job that sets a namespace up, or of the collector: the same layers with nothing of the project."""
    nothing = {f"services/{name}/README": b"This image has what services need, and no service.\n"}
    arguments = {"BASE": base.name, "SERVICE": name}
    return Image(
        name,
        repository_of(target),
        PYTHON_CONTEXT,
        PYTHON,
        {**_shared(target, requirements), **nothing},
        arguments,
        (base,),
    )


def _shared(target: Target, requirements: str) -> dict[str, bytes]:
    """What the images of all services in Python are made with."""
    exceptions = [f"services/*/{each}" for each in target.environment.images.include if not each.startswith("!")]
    return {"requirements.txt": requirements.encode(), ".dockerignore": _ignore(exceptions)}


def _ignore(exceptions: Iterable[str]) -> bytes:
    """A .dockerignore. exceptions: what is meant to be there, whatever it is called."""
    return (_IGNORE + "".join(f"!{each}\n" for each in exceptions)).encode()


def node_image(target: Target, member: MemberData, folder: Folder, base: Base) -> Image:
    """Of a service in Node.js without a Dockerfile of its own. Raises AtollError BAD_LOCK."""
    packages = read_package_lock(folder.files, member.directory)
    top = {PACKAGE: folder.files[PACKAGE], LOCK: with_addresses(folder.files[LOCK])} if packages else {}
    placed = {f"{NODE_SOURCES}/{path}": content for path, content in folder.files.items()}
    return Image(
        member.name,
        repository_of(target),
        f"programs/{member.name}",
        _node_dockerfile(member, NODE if packages else NODE_ALONE),
        {".dockerignore": _ignore(path for path in placed if credentials.is_named(path)), **top, **placed},
        {"BASE": base.name},
        (base,),
        frozenset(f"{NODE_SOURCES}/{path}" for path in folder.executable),
        packages,
    )


def own_image(target: Target, member: MemberData, folder: Folder) -> Image:
    """Of a service that brings its Dockerfile."""
    # Only its last FROM is read; what is no text there is the builder's to refuse.
    text = folder.files["Dockerfile"].decode(errors="replace")
    context = f"programs/{member.name}"
    return Image(
        member.name,
        repository_of(target),
        context,
        text,
        folder.files,
        {},
        last_base(text),
        folder.executable,
        is_own=True,
    )


def last_base(dockerfile: str) -> tuple[Base, ...]:
    """What the last stage is built on, through other stages; () if an argument of the build says it."""
    stages: dict[str, str] = {}
    found = ""
    for image, alias in _FROM.findall(dockerfile):
        found = stages.get(image.lower(), image)
        stages[alias.lower()] = found
    return (Base(found),) if found and "$" not in found and found != "scratch" else ()


def repository_of(target: Target) -> str:
    return (target.environment.images.registry or target.system).rstrip("/")


def _node_dockerfile(member: MemberData, template: str) -> str:
    """command: of the member, so that the image runs as it is too."""
    check = ""
    if member.health:
        address = f"http://127.0.0.1:{port_of(member)}{member.health}"
        script = f"fetch('{address}').then(a => process.exit(a.ok ? 0 : 1), () => process.exit(1))"
        check = f"HEALTHCHECK {_PERIODS} CMD {json.dumps(['node', '-e', script])}\n"
    return template.replace("@HEALTHCHECK@", check).replace("@COMMAND@", json.dumps(member.command))


@dataclass(frozen=True, slots=True)
class Contents:
    """Which files of a project belong to a service: modules by their paths, and folders whose data they read.

    without: folders below those that have images of their own.
    """

    modules: tuple[str, ...]
    folders: tuple[str, ...]
    without: frozenset[str]


def contents_of(target: Target, member: MemberData) -> Contents:
    """Its own modules with all they import; the data of their packages, and the migrations.

    A change in another service changes neither. Folders are searched without those below that are packages themselves.
    """
    root = project_of(target)
    modules = tuple(each for each in member.files if each.startswith(f"{root}/"))
    packages = {each.rpartition("/")[0] for each in modules} - {root}
    migrations = member.database.migrations if member.database else ""
    programs = {each.directory for each in target.members if each.kind == "process"} - {target.description.folder}
    folders = {*packages, *([migrations] if migrations else [])} - programs
    return Contents(modules, tuple(sorted(folders)), frozenset(programs))


def is_data(name: str) -> bool:
    """Whether a file of a package, which is no module of it, may be in an image."""
    return not name.startswith(".") and not name.endswith((".py", ".pyc"))


def is_searched(name: str) -> bool:
    """Whether a folder below a package may hold its data."""
    return not name.startswith(".") and name not in {*_MADE, "environments", "tests"}


def is_of_node(path: str) -> bool:
    """Whether a file of a program's folder belongs into the image that is made for Node.js: no test, no Python."""
    *folders, name = path.split("/")
    is_test = any(each in {"test", "tests", "__tests__"} for each in folders) or _NODE_TEST.search(name)
    return is_data(name) and not is_test and not any(each.startswith(".") for each in folders)


def is_sent(name: str) -> bool:
    """Whether a file or folder goes to the build of a program's own Dockerfile, whose .dockerignore says more."""
    return name not in {*_MADE, ".git", ".atoll", ".venv"} and not name.startswith(".env") and not name.endswith(".pyc")
