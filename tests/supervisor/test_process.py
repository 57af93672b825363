import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from atoll.engines.engine import Command
from atoll.supervisor.process import Exit, Process, find_setpriv, tied
from atoll.supervisor.processes import end, identity, parse_ps, parse_stat, processes
from tests.waiting import eventually

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


class Lines:
    """What a process has said, to be waited for."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._changed = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.all.append(line)
        self._changed.set()

    async def until(self, wanted: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.all) < wanted:
                self._changed.clear()
                await self._changed.wait()
        return self.all


def shell(script: str, *, stop_signal: str = "SIGTERM", grace: float = 5.0) -> Command:
    return Command(("/bin/sh", "-c", script), ENVIRONMENT, stop_signal=stop_signal, grace=grace)


def python(script: str, *arguments: str) -> Command:
    return Command((sys.executable, "-c", script, *arguments), {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)})


async def gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while identity(pid) is not None:  # noqa: ASYNC110  nothing tells of the end of another's child
            await asyncio.sleep(0.005)


async def test_its_lines_reach_the_log_and_the_callback(tmp_path: Path) -> None:
    lines = Lines()
    process = await Process.start("p", shell("echo one; echo two >&2; printf three"), tmp_path / "p.log", lines)
    assert await process.wait() == Exit(0)
    assert lines.all == ["one", "two", "three"]
    assert (tmp_path / "p.log").read_text() == "one\ntwo\nthree\n"


async def test_a_line_without_end_comes_in_pieces(tmp_path: Path) -> None:
    lines = Lines()
    process = await Process.start("p", python("print('x' * 200_000)"), tmp_path / "p.log", lines)
    await process.wait()
    assert "".join(lines.all) == "x" * 200_000
    assert max(map(len, lines.all)) <= 64 * 2**10


async def test_the_log_never_holds_more_than_two_files_of_16_mib(tmp_path: Path) -> None:
    script = "import sys\nfor n in range(36): sys.stdout.write(('%02d' % n + 'x' * 1021 + chr(10)) * 1024)"
    process = await Process.start("p", python(script), tmp_path / "p.log", lambda line: None)
    await process.wait()
    current, older = (tmp_path / "p.log").stat().st_size, (tmp_path / "p.log.1").stat().st_size
    assert current + older <= 32 * 2**20
    assert (tmp_path / "p.log").read_text().endswith("x\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
async def test_a_full_disk_costs_lines_and_holds_no_process_up() -> None:
    lines = Lines()
    process = await Process.start("p", shell(f"yes {'x' * 99} | head -n 10000; echo last"), Path("/dev/full"), lines)
    async with asyncio.timeout(10):
        assert await process.wait() == Exit(0)
    assert lines.all[-1] == "last"
    assert len(lines.all) == 10_001


@pytest.mark.parametrize(
    ("script", "words"), [("exit 3", "exit status 3"), ("kill -9 $$", "killed by SIGKILL"), ("true", "exit status 0")]
)
async def test_the_reason_of_its_end_is_said_in_words(tmp_path: Path, script: str, words: str) -> None:
    process = await Process.start("p", shell(script), tmp_path / "p.log", lambda line: None)
    assert str(await process.wait()) == words
    assert str(process.exit) == words


async def test_nothing_of_our_environment_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    lines = Lines()
    process = await Process.start("p", Command(("/usr/bin/env",), {"A": "b"}), tmp_path / "p.log", lines)
    await process.wait()
    assert lines.all == ["A=b"]


async def test_stop_asks_with_the_signal_of_the_command(tmp_path: Path) -> None:
    lines = Lines()
    command = shell("trap 'echo bye; exit 7' INT; echo up; while :; do sleep 0.05; done", stop_signal="SIGINT")
    process = await Process.start("p", command, tmp_path / "p.log", lines)
    await lines.until(1)
    assert process.exit is None
    assert await process.stop() == Exit(7)
    assert lines.all == ["up", "bye"]


async def test_what_ignores_the_request_to_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    lines = Lines()
    command = shell("trap '' TERM; echo up; while :; do sleep 0.05; done", grace=0.2)
    process = await Process.start("p", command, tmp_path / "p.log", lines)
    await lines.until(1)
    assert await process.stop() == Exit(None, "SIGKILL")


async def test_children_of_a_process_that_ends_are_killed_with_it(tmp_path: Path) -> None:
    lines = Lines()
    process = await Process.start("p", shell("sleep 600 & echo $!; exit 1"), tmp_path / "p.log", lines)
    async with asyncio.timeout(5):
        assert await process.wait() == Exit(1)
    await gone(int(lines.all[0]))


LEAVES = """
import os
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.write(writing, b".")
    print(os.getpid(), flush=True)
    os.execlp("sleep", "sleep", "600")
os.read(reading, 1)
"""


async def test_a_child_that_left_the_group_with_the_pipe_does_not_hold_up_the_end(tmp_path: Path) -> None:
    lines = Lines()
    process = await Process.start("p", python(LEAVES), tmp_path / "p.log", lines)
    pid = int((await lines.until(1))[0])
    try:
        async with asyncio.timeout(5):
            assert await process.wait() == Exit(0)
    finally:
        os.kill(pid, signal.SIGKILL)


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from atoll.engines.engine import Command
from atoll.supervisor.process import Process

async def main():
    command = Command(("/bin/sleep", "600"), {}, end_signal="SIGTERM")
    process = await Process.start("child", command, Path(sys.argv[1]), print)
    print(process.pid, process.started, flush=True)
    await process.wait()

asyncio.run(main())
"""


@pytest.mark.skipif(not find_setpriv(), reason="only Linux tells a process that its parent died")
async def test_it_dies_with_us_even_when_we_are_killed(tmp_path: Path) -> None:
    lines = Lines()
    ours = await Process.start("us", python(SUPERVISOR, str(tmp_path / "child.log")), tmp_path / "us.log", lines)
    child = int((await lines.until(1))[0].split()[0])
    assert identity(child) is not None
    # It asks for that before it becomes what was to be run.
    await eventually(lambda: psutil.Process(child).name() == "sleep", "the child runs")
    os.kill(ours.pid, signal.SIGKILL)
    await ours.wait()
    await gone(child)


async def test_an_earlier_runs_process_is_ended_with_its_group(tmp_path: Path) -> None:
    lines = Lines()
    process = await Process.start("p", shell("sleep 600 & echo $!; wait"), tmp_path / "p.log", lines)
    child = int((await lines.until(1))[0])
    assert await end(process.pid, process.started)
    assert identity(child) is None
    assert await process.wait() == Exit(None, "SIGTERM")
    assert not await end(process.pid, process.started)


async def test_a_stranger_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    process = await Process.start("p", shell("sleep 600"), tmp_path / "p.log", lambda line: None)
    assert not await end(process.pid, "started long ago")
    assert identity(process.pid) == process.started
    await process.kill()


async def test_what_ignores_the_end_of_an_earlier_run_is_killed(tmp_path: Path) -> None:
    lines = Lines()
    command = shell("trap '' TERM; echo up; while :; do sleep 0.05; done")
    process = await Process.start("p", command, tmp_path / "p.log", lines)
    await lines.until(1)
    assert await end(process.pid, process.started, grace=0.1)
    assert await process.wait() == Exit(None, "SIGKILL")


def test_a_zombie_counts_as_ended() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        os.kill(pid, 0)  # the number is still there, and yet
        assert identity(pid) is None
        assert pid not in {each.pid for each in processes()}
    finally:
        os.waitpid(pid, 0)


async def test_the_log_of_an_earlier_run_is_continued(tmp_path: Path) -> None:
    (tmp_path / "p.log").write_text("before\n")
    process = await Process.start("p", shell("echo after"), tmp_path / "p.log", lambda line: None)
    await process.wait()
    assert (tmp_path / "p.log").read_text() == "before\nafter\n"


def test_a_process_is_read_from_proc_whatever_its_name() -> None:
    stat = "7 (a (b) c) S 1 5 5 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 10 20"
    seen = parse_stat(7, stat, b"prog\0-x\0", "boot")
    assert seen is not None
    assert (seen.pid, seen.group, seen.started, seen.title) == (7, 5, "boot:4242", "prog -x")
    assert parse_stat(7, stat.replace(" S ", " Z "), b"", "boot") is None


def test_a_process_is_read_from_ps_where_there_is_no_proc() -> None:
    seen = parse_ps("  612   611 Ss   Mon Nov 23 21:34:00 2026 /usr/bin/prog -x")
    assert seen is not None
    assert (seen.pid, seen.group, seen.started) == (612, 611, "Mon Nov 23 21:34:00 2026")
    assert seen.title == "/usr/bin/prog -x"
    assert parse_ps("  612   611 Z    Mon Nov 23 21:34:00 2026 (prog)") is None
    assert parse_ps("") is None


def test_a_command_is_run_as_its_user_and_tied_to_us() -> None:
    command = Command(("/bin/true",), end_signal="SIGINT")
    assert tied(command, "/usr/bin/setpriv") == ("/usr/bin/setpriv", "--pdeathsig", "INT", "--", "/bin/true")
    assert tied(command, "") == ("/bin/true",)
