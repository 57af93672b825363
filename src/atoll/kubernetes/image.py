"""Images as values: which files are in them, how they are built, and what they are called."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from atoll.kubernetes.names import ADMIN_PORT, CODE, SETUP, USER, Target, admin_port_of, port_of
from atoll.kubernetes.resolve import project_of
from atoll.wire.description import MemberData

MADE = "# Made by `atoll build`; a Dockerfile of your own in the member's folder takes its place.\n"
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
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "{_HEALTH}"]
ARG SERVICE
ARG ADMIN={ADMIN_PORT}
ENV ATOLL_HEALTH=http://127.0.0.1:${{ADMIN}}/health/live
COPY services/${{SERVICE}}/ {CODE}/
"""

NODE = f"""\
{MADE}ARG BASE
FROM ${{BASE}} AS dependencies
WORKDIR {CODE}
COPY package.json package-lock.json* ./
# Nothing is fetched: what the lock names is in the cache beside this file.
RUN --mount=type=bind,source=.npm,target=/npm \\
    mkdir -p node_modules \\
 && if [ -f package-lock.json ]; then \\
      cp -r /npm /tmp/npm && npm ci --omit=dev --offline --no-audit --no-fund --cache /tmp/npm && rm -rf /tmp/npm; fi

FROM ${{BASE}}
ENV NODE_ENV=production
WORKDIR {CODE}
COPY --from=dependencies {CODE}/node_modules ./node_modules
COPY src/ ./
USER {USER}:{USER}
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["node", "-e", "@HEALTH@"]
"""

IGNORE = """\
# Everything that is not needed in an image stays out of the build as well.
**/__pycache__
**/.git
**/.env*
**/.atoll
**/node_modules
"""


@dataclass(frozen=True, slots=True)
class Image:
    """What one image is made of.

    context: the folder it is built in, below the folder of all builds. dockerfile: its text.
    files: of the context, content by path; what they name by hash, such as wheels, need not be among them.
    arguments: of the build. labels: OCI annotations, which say nothing that the tag depends on.
    version: what its tag begins with, such as "18.6-"; it stands for what is copied in beside the files.
    """

    name: str
    repository: str
    context: str
    dockerfile: str
    files: Mapping[str, bytes] = field(repr=False)
    arguments: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    @property
    def tag(self) -> str:
        """From all that it is made of: other sources give another tag, the same sources the same."""
        digest = sha256(self.dockerfile.encode())
        digest.update(json.dumps(dict(self.arguments), sort_keys=True).encode())
        for path in sorted(self.files):
            digest.update(path.encode() + b"\0" + sha256(self.files[path]).digest())
        return f"{self.version}{digest.hexdigest()[:12]}"

    @property
    def reference(self) -> str:
        return f"{self.repository}/{self.name}:{self.tag}"


def python_image(target: Target, member: MemberData, files: Mapping[str, bytes], requirements: str, base: str) -> Image:
    """Of a service in Python. files: of the project, by their path below CODE."""
    arguments = {"BASE": base, "SERVICE": member.name}
    if admin_port_of(member) != ADMIN_PORT:
        arguments["ADMIN"] = str(admin_port_of(member))
    placed = {f"services/{member.name}/{path}": content for path, content in files.items()}
    return Image(
        member.name,
        repository_of(target),
        "python",
        PYTHON,
        {"requirements.txt": requirements.encode(), ".dockerignore": IGNORE.encode(), **placed},
        arguments,
        labels_of(target, member.name),
    )


def setup_image(target: Target, requirements: str, base: str) -> Image:
    """Of the Job that sets a namespace up: the same layers with nothing of the project."""
    files = {"requirements.txt": requirements.encode(), ".dockerignore": IGNORE.encode()}
    nothing = {f"services/{SETUP}/README": b"This image has what services need, and no service.\n"}
    arguments = {"BASE": base, "SERVICE": SETUP}
    return Image(
        SETUP, repository_of(target), "python", PYTHON, {**files, **nothing}, arguments, labels_of(target, SETUP)
    )


def node_image(target: Target, member: MemberData, files: Mapping[str, bytes], base: str) -> Image:
    """Of a service in Node.js without a Dockerfile of its own. files: of its folder, by path."""
    top = {path: content for path, content in files.items() if path in {"package.json", "package-lock.json"}}
    placed = {f"src/{path}": content for path, content in files.items()}
    return Image(
        member.name,
        repository_of(target),
        member.name,
        NODE.replace("@HEALTH@", _node_health(member)),
        {".dockerignore": IGNORE.encode(), **top, **placed},
        {"BASE": base},
        labels_of(target, member.name),
    )


def own_image(target: Target, member: MemberData, files: Mapping[str, bytes]) -> Image:
    """Of a service that brings its Dockerfile."""
    dockerfile = files["Dockerfile"].decode()
    return Image(member.name, repository_of(target), member.name, dockerfile, files, {}, labels_of(target, member.name))


def repository_of(target: Target) -> str:
    return (target.environment.images.registry or target.system).rstrip("/")


def labels_of(target: Target, name: str) -> dict[str, str]:
    return {"org.opencontainers.image.title": name, "org.opencontainers.image.vendor": target.system}


def _node_health(member: MemberData) -> str:
    address = f"http://127.0.0.1:{port_of(member)}{member.health}"
    return f"fetch('{address}').then(a => process.exit(a.ok ? 0 : 1), () => process.exit(1))"


@dataclass(frozen=True, slots=True)
class Contents:
    """Which files of a project belong to a service: modules by their paths, and folders whose data they read."""

    modules: tuple[str, ...]
    folders: tuple[str, ...]


def contents_of(target: Target, member: MemberData) -> Contents:
    """Its own modules with all they import; the data of their packages, and the migrations.

    A change in another service changes neither. Folders are searched without those below that are packages themselves.
    """
    root = project_of(target)
    modules = tuple(each for each in member.files if each.startswith(f"{root}/"))
    packages = {each.rpartition("/")[0] for each in modules} - {root}
    migrations = member.database.migrations if member.database else ""
    return Contents(modules, tuple(sorted({*packages, *([migrations] if migrations else [])})))


def is_data(name: str) -> bool:
    """Whether a file of a package, which is no module of it, may be in an image."""
    return not name.startswith(".") and not name.endswith((".py", ".pyc"))


def is_searched(name: str) -> bool:
    """Whether a folder below a package may hold its data."""
    return not name.startswith(".") and name not in {"__pycache__", "node_modules", "environments", "tests"}
