import os
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from atoll import AtollError
from atoll.testing import running

HELLO = """
from atoll import Service, System, get

class Hello:
    {extra}

    @get("/hello/{{name}}")
    async def hello(self, name: str) -> str:
        return f"Hello, {{name}}"

system = System("greetings", services=[Service("hello", Hello)])
"""


def project(folder: Path, extra: str = "") -> Path:
    (folder / "greetings.py").write_text(HELLO.format(extra=extra))
    return folder


async def test_a_system_serves_inside_the_block_and_is_gone_after_it(tmp_path: Path) -> None:
    # Given a system of one service in two replicas
    async with running("greetings:system", project(tmp_path), variables=os.environ, replicas={"hello": 2}) as system:
        # When each replica is asked
        answers = [urlopen(f"{address}/hello/Ada").read() for address in system.addresses["hello"]]  # noqa: ASYNC210
        pids = [each.pid for each in system.status().processes]
    # Then each has answered, and neither process lives on
    assert answers == [b'"Hello, Ada"', b'"Hello, Ada"']
    assert len(pids) == 3  # with the collector
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


async def test_a_system_that_does_not_get_ready_says_which_process_and_why(tmp_path: Path) -> None:
    folder = project(tmp_path, "def __init__(self) -> None: raise RuntimeError('no more paper')")
    with pytest.raises(AtollError) as raised:
        async with running("greetings:system", folder, variables=os.environ, patience=12.0):
            pass
    (problem,) = raised.value.problems
    assert problem.code == "ATL4020"
    assert "hello-1" in problem.has[0]
    assert "no more paper" in problem.has[0]


async def test_an_error_inside_the_block_stops_the_system_too(tmp_path: Path) -> None:
    pids: list[int] = []

    async def fails() -> None:
        async with running("greetings:system", project(tmp_path), variables=os.environ) as system:
            pids.extend(each.pid for each in system.status().processes)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert pids
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
