"""What the base of the tests promises."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from atoll.supervisor.home import Home
from tests.conftest import find_program

ROOT = Path(__file__).parents[1]


def test_a_program_that_is_there_is_found(program: Callable[[str], str]) -> None:
    assert Path(program("sh")).is_absolute()


def test_a_missing_program_skips_the_test_on_a_laptop() -> None:
    with pytest.raises(pytest.skip.Exception, match="needs the program no-such-program"):
        find_program("no-such-program", ci=False)


def test_a_missing_program_fails_the_test_in_ci() -> None:
    with pytest.raises(pytest.fail.Exception, match="CI lacks the program no-such-program"):
        find_program("no-such-program", ci=True)


def test_a_process_left_behind_fails_the_run_and_is_ended(tmp_path: Path) -> None:
    # Given a test that forgets a process
    (tmp_path / "test_forgets.py").write_text(
        "import subprocess\n"
        "def test_it(tmp_path_factory):\n"
        "    child = subprocess.Popen(['sleep', '60'])\n"
        f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    )
    # When it is run
    run = run_of(tmp_path)
    # Then the run fails, says what was left, and the process is gone
    assert run.returncode == 1, run.stdout + run.stderr
    assert "left behind" in run.stdout
    assert "sleep 60" in run.stdout
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has data elsewhere")
def test_data_that_systems_had_to_put_elsewhere_are_removed_at_the_end(tmp_path: Path) -> None:
    # Given a test that ran a system in a folder that PostgreSQL's user can't reach
    place = Home(tmp_path).system / f"of-a-test-{secrets.token_hex(4)}"
    (tmp_path / "test_runs.py").write_text(
        "from pathlib import Path\n"
        "def test_it(tmp_path):\n"
        f"    place = Path({str(place)!r})\n"
        "    (place / 'data').mkdir(parents=True)\n"
        "    (tmp_path / '.atoll' / 'hello').mkdir(parents=True)\n"
        "    (tmp_path / '.atoll' / 'hello' / 'postgres').symlink_to(place)\n"
    )
    # When it is run
    run = run_of(tmp_path)
    # Then they are gone
    assert run.returncode == 0, run.stdout + run.stderr
    assert not place.exists()


def run_of(folder: Path) -> "subprocess.CompletedProcess[str]":
    """A run of the tests in it, with the same base as ours."""
    (folder / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", "/dev/null"]
    return subprocess.run([*command, folder], capture_output=True, text=True, timeout=50, check=False)
