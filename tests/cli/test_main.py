"""What all commands have in common."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from atoll.cli.main import COMMANDS
from tests.cli.commands import atoll

HEAVY = {"asyncio", "asyncpg", "nats", "rich", "watchfiles", "uvloop", "atoll.supervisor.supervisor"}


def test_help_lists_every_command_and_loads_none_of_them(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom atoll.cli.main import invoke\nassert invoke(['--help']) == 0\n"
        "print('LOADED', *sys.modules, file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert all(f"  {name} " in found.stdout for name in COMMANDS)
    assert HEAVY & set(found.stderr.split()) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str, tmp_path: Path) -> None:
    found = atoll(tmp_path, name, "--help")
    assert found.returncode == 0, found.stderr
    assert f"Usage: atoll {name}" in found.stdout


@pytest.mark.parametrize("name", ["status", "stop", "call", "logs", "events"])
def test_a_command_about_a_run_says_that_there_is_none_and_exits_with_3(name: str, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("")
    arguments = {
        "status": ["status", "hello.py"],
        "stop": ["stop", "hello.py"],
        "call": ["call", "--system", "hello.py", "a.b"],
        "logs": ["logs", "--system", "hello.py"],
        "events": ["events", "dead", "--system", "hello.py"],
    }
    found = atoll(tmp_path, *arguments[name])
    assert found.returncode == 3
    assert "ATL1007" in found.stderr
    as_json = atoll(tmp_path, *arguments[name], "--json")
    assert as_json.returncode == 3
    assert [problem["code"] for problem in json.loads(as_json.stdout)["problems"]] == ["ATL1007"]


def test_wrong_usage_exits_with_2(tmp_path: Path) -> None:
    assert atoll(tmp_path, "run", "--nonsense").returncode == 2
    assert atoll(tmp_path, "nonsense").returncode == 2
    missing = atoll(tmp_path, "run", "missing.py")
    assert missing.returncode == 2
    assert "there is no such file" in missing.stderr


def test_without_a_system_the_ways_to_name_one_are_said(tmp_path: Path) -> None:
    found = atoll(tmp_path, "run")
    assert found.returncode == 1
    assert "ATL1001" in found.stderr
    assert "[tool.atoll]" in found.stderr


@pytest.mark.parametrize(("missing", "command"), [("click", "--help"), ("watchfiles", "run")])
def test_where_the_extra_is_missing_one_line_says_how_to_install_it(missing: str, command: str) -> None:
    code = (
        f"import sys\nsys.modules['{missing}'] = None\n"
        f"from atoll.cli.main import invoke\nsys.exit(invoke(['{command}']))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=20)
    assert found.returncode == 1
    assert missing in found.stderr
    assert "pip install 'atoll[local]'" in found.stderr
    assert "Traceback" not in found.stderr


def test_what_prometheus_needs_is_said_when_it_is_missing(tmp_path: Path) -> None:
    code = "from atoll import get\nclass Hello:\n    @get('/')\n    async def hi(self) -> str: ...\n"
    (tmp_path / "hello.py").write_text(code)
    command = [sys.executable, "-m", "atoll.cli.main", "run", "hello.py", "--port", "0", "--prometheus"]
    found = subprocess.run(
        command, cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=40, check=False
    )
    assert found.returncode == 1
    assert "ATL4011" in found.stderr
    assert "apt install prometheus prometheus-alertmanager" in found.stderr
