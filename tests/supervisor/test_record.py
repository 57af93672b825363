"""One run at a time in a folder, and what a killed one left."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from atoll.errors import AtollError
from atoll.supervisor.home import Home
from atoll.supervisor.processes import identity
from atoll.supervisor.record import Child, Run, RunRecord, is_alive, read_record

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def record(pid: int = os.getpid()) -> RunRecord:
    return RunRecord("shop", pid, identity(pid) or "", "shop.system:shop", "/project", "/project/control.sock")


def take(folder: Path) -> Run:
    return Run.take(Home(folder), record())


def test_a_second_run_is_refused_with_the_number_of_the_first(tmp_path: Path) -> None:
    run = take(tmp_path)
    run.write((), "")
    with pytest.raises(AtollError, match=f"process {os.getpid()}"):
        take(tmp_path)
    run.release()
    take(tmp_path).release()


def test_the_lock_goes_with_the_process_that_holds_it(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.supervisor.test_record import take\n"
        "run = take(Path(sys.argv[1]))\nprint('taken', flush=True)\ntime.sleep(60)"
    )
    root = Path(__file__).parent.parent.parent
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=root)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"taken\n"
    with pytest.raises(AtollError, match="ATL4003"):
        take(tmp_path)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    take(tmp_path).release()


async def test_what_a_killed_run_left_is_ended_and_strangers_are_not(tmp_path: Path) -> None:
    left = await asyncio.create_subprocess_exec(*SLEEPER, start_new_session=True)
    stranger = await asyncio.create_subprocess_exec(*SLEEPER, start_new_session=True)
    before = take(tmp_path)
    ours = Child("users-1", left.pid, identity(left.pid) or "")
    # A number that a stranger was given after the process that had it was gone.
    reused = Child("cart-1", stranger.pid, "another time")
    before.write((ours, reused), "")
    before._lock.close()  # as when it is killed: the record stays
    following = take(tmp_path)
    try:
        reaping = asyncio.create_task(left.wait())
        assert await following.end_leftovers() == ["users-1"]
        await reaping
        assert stranger.returncode is None
        assert identity(stranger.pid) is not None
    finally:
        following.release()
        stranger.kill()
        await stranger.wait()


def test_a_record_of_a_process_that_is_gone_is_not_alive(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    made = record(gone.pid)
    gone.wait()
    assert not is_alive(made)
    assert is_alive(record())
    assert read_record(tmp_path) is None


def test_everything_kept_can_be_forgotten(tmp_path: Path) -> None:
    run = take(tmp_path)
    run.write((), "")
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "data").write_text("rows")
    (tmp_path / "elsewhere").symlink_to(Path(__file__).parent)
    run.forget()
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]
    assert Path(__file__).exists()
    with pytest.raises(AtollError):
        take(tmp_path)
    run.release()
