"""What every test may rely on: programs that are there, bounded property tests, and no process left behind."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from atoll.supervisor.home import Home
from tests.engines.running import open_home

CI = bool(os.environ.get("CI"))

LONGEST = ("test_watched.py", "test_tutorial.py")
"""The files with tests that take, or have to wait for, more than ten seconds."""

# The time of one example depends on what else the machine does; pytest-timeout bounds the test as a whole.
settings.register_profile("atoll", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("atoll")


def find_program(name: str, *, ci: bool = CI) -> str:
    """The path of a program from outside Python; without it a laptop skips the test and CI fails it."""
    path = shutil.which(name)
    if path is None and ci:
        pytest.fail(f"CI lacks the program {name}: add Debian's package of it to .ci/run", pytrace=False)
    if path is None:
        pytest.skip(f"needs the program {name}")
    return path


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """`program("node")` is the path of node; without it the test is skipped on a laptop and fails in CI."""
    return find_program


@pytest.fixture
def home() -> Iterator[Home]:
    """A folder for the state of one system, with nothing in it yet."""
    with open_home() as made:
        yield made


def pytest_configure() -> None:
    """What tests start ends by signals, also where the run is one of a shell's background or of nohup's, which ignore
    some of them: who is started inherits that."""
    for each, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, usual)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs_program"):
        for name in mark.args:
            find_program(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest begin first, in whatever order the others come: nobody waits for them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    if exitstatus == pytest.ExitCode.TESTS_FAILED:
        terminalreporter.line(f"in the same order again: pytest --randomly-seed={config.option.randomly_seed}")


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Made first and so ended last: when every other fixture has cleaned up, nothing that we started may live."""
    yield
    children = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs([child for child in children if not _belongs_to_python(child)], timeout=5)
    left = [f"{process.pid} {' '.join(process.cmdline())}" for process in alive if process.is_running()]
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=2)
    _remove_data_elsewhere(tmp_path_factory.getbasetemp())
    if left:
        pytest.fail("left behind by the tests of this worker:\n" + "\n".join(left), pytrace=False)


def _remove_data_elsewhere(folder: Path) -> None:
    """Of systems below it: pytest's folders are closed to the user that PostgreSQL runs as where we are root, so their
    data are where Home says, with a link there."""
    system = Home(folder).system
    for parent, folders, _ in os.walk(folder):
        for each in (Path(parent, name) for name in folders):
            if each.is_symlink() and each.readlink().parent == system:
                shutil.rmtree(each.readlink(), ignore_errors=True)


def _belongs_to_python(process: psutil.Process) -> bool:
    """multiprocessing's own helpers live as long as the interpreter, and pytest-xdist's workers as long as the run."""
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return True
    return "multiprocessing.resource_tracker" in line or "multiprocessing.forkserver" in line or "execnet" in line
