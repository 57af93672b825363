"""Real engines for tests: PostgreSQL and NATS as processes that a test may stop, kill and start again."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from atoll.engines import nats, postgres
from atoll.engines.engine import Check, Command, Engine, HttpGet, Readiness, User
from atoll.engines.versions import NATS, POSTGRES
from tests.ports import free_port
from tests.waiting import until

READY_WITHIN = 20.0


def unprivileged() -> User | None:
    """Whom PostgreSQL runs as: nobody where we are root, else ourselves (None)."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    return User(account.pw_name, account.pw_uid, account.pw_gid)


class RunningEngine:
    """One engine's process."""

    def __init__(self, engine: Engine, log: Path) -> None:
        self._engine = engine
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Run it, and wait until it is ready."""
        self.begin()
        self.wait_until_ready()

    def begin(self) -> None:
        """Run it. From the main thread only: Linux ends it with the thread that started it."""
        for file in self._engine.files:
            path = Path(file.path)
            path.write_text(file.content)
            path.chmod(file.mode)
            if self._engine.command.user is not None:
                os.chown(path, self._engine.command.user.uid, self._engine.command.user.gid)
        with self._log.open("ab") as log:
            self._process = _popen(self._engine.command, log.fileno())

    def wait_until_ready(self) -> None:
        assert self._process is not None
        end = time.monotonic() + READY_WITHIN
        while not _is_ready(self._engine.readiness):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self._engine.name} did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it the way it likes."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(getattr(signal, self._engine.command.stop_signal))
            self._process.wait(READY_WITHIN)

    def kill(self) -> None:
        """End it the way a crash does; returns when its children, who find that out by themselves, have ended too."""
        if self._process is not None:
            children = psutil.Process(self.pid).children(recursive=True)
            self._process.kill()
            self._process.wait(READY_WITHIN)
            until(lambda: not any(map(_runs, children)), "what it began ends as well")

    def restart(self) -> None:
        self.stop()
        self.start()


class PostgresServer(RunningEngine):
    """A PostgreSQL server of its own in `folder`, which must be reachable by the user it runs as."""

    def __init__(self, folder: Path) -> None:
        user = unprivileged()
        if user is not None:
            os.chown(folder, user.uid, user.gid)
        programs = Path(sysconfig.get_paths()["purelib"], POSTGRES.program).parent
        # Many databases in one server: more connections than a service would be given.
        limits = postgres.Limits(connections=100)
        server = postgres.Server(programs, folder / "data", free_port(), user, limits=limits)
        self.password = secrets.token_hex(16)
        self.port = server.port
        password_file = folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o644)
        making = _popen(postgres.initdb(server, folder / "data", password_file), subprocess.DEVNULL)
        assert making.wait(60) == 0, "initdb failed"
        super().__init__(postgres.engine(server), folder / "log")

    def admin_dsn(self, database: str = "postgres") -> str:
        """For a superuser."""
        return self.dsn(postgres.SUPERUSER, self.password, database)

    def dsn(self, user: str, password: str, database: str) -> str:
        return postgres.dsn(host="127.0.0.1", port=self.port, user=user, password=password, database=database)


class NatsServer(RunningEngine):
    """A NATS server with JetStream in `folder`, with the user `admin` that may do everything."""

    def __init__(
        self, folder: Path, accounts: tuple[nats.Account, ...] = (), limits: nats.Limits | None = None
    ) -> None:
        self.user = nats.ADMIN
        self.password = secrets.token_hex(16)
        self.folder = folder
        self.port = free_port()
        self.url = nats.url("127.0.0.1", self.port)
        program = Path(sysconfig.get_paths()["scripts"], NATS.program)
        self.monitor_port = free_port()
        broker = nats.Broker(self.port, self.monitor_port, self.password, accounts, limits=limits or nats.Limits())
        super().__init__(nats.engine(program, broker, folder), folder / "log")


def engine_folder(parent: Path, name: str) -> Path:
    """A folder that an unprivileged engine may enter; pytest's own are closed to everybody but their owner."""
    folder = parent / name
    if os.geteuid() == 0:
        # Test runs that were killed could not clean up after themselves.
        for left in Path("/tmp").glob(f"atoll-test-*-{name}"):
            if not psutil.pid_exists(int(left.name.split("-")[2])):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path("/tmp", f"atoll-test-{os.getpid()}-{name}")
    folder.mkdir(mode=0o755)
    return folder


def _runs(process: psutil.Process) -> bool:
    """One that has ended and that nobody has asked for its status yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _popen(command: Command, output: int) -> "subprocess.Popen[bytes]":
    user = command.user
    # It ends with us, even if the test run is killed.
    last_will = ("setpriv", "--pdeathsig", command.end_signal.removeprefix("SIG")) if shutil.which("setpriv") else ()
    return subprocess.Popen(
        (*last_will, *command.arguments),
        env=dict(command.environment),
        cwd=command.directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else (),
    )


def _is_ready(readiness: Readiness) -> bool:
    match readiness:
        case Check(command):
            return _popen(command, subprocess.DEVNULL).wait(10) == 0
        case HttpGet(path=path, port=port, host=host):
            try:
                with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=2) as answer:
                    return bool(answer.status == 200)
            except (urllib.error.URLError, OSError):
                return False
        case _:
            with socket.socket() as probe:
                return probe.connect_ex((readiness.host, readiness.port)) == 0
