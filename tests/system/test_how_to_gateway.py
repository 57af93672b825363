"""The pages about the gateway, done as they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.pages import commands_of, program_of
from tests.system.runs import Run

pytestmark = pytest.mark.needs_program("curl")


def shell(folder: Path, command: str, url: str) -> subprocess.CompletedProcess[str]:
    """A command of a page, to the gateway of this run."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = command.replace("curl ", "curl -s -w '\\n%{http_code}' ").replace("localhost:8080", url.partition("://")[2])
    return subprocess.run(
        ["bash", "-c", told],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_callers_are_known_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(program_of("authentication.md"))
    (key_command,) = commands_of("authentication.md", "atoll key")
    made = dict(line.split(None, 1) for line in shell(tmp_path, key_command, "").stdout.splitlines())
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "local.toml").write_text(f"[secrets]\napi-keys = {json.dumps(made['line'])}\n")
    shown = re.compile(r"partner\.\w+…")
    with Run(tmp_path, target="desk.py") as run:
        run.ready()
        asked = [shown.sub(made["key"], command) for command in commands_of("authentication.md", "curl")]
        answers = [shell(tmp_path, command, run.url).stdout for command in asked]
    assert answers == ['"nine to five"\n200', '"ada"\n200', '"lamp for ada"\n200', '"partner"\n200']


def test_who_asks_too_often_is_refused_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "quotes.py").write_text(program_of("rate-limits.md"))
    (command,) = commands_of("rate-limits.md", "curl")
    with Run(tmp_path, target="quotes.py") as run:
        run.ready()
        answers = [shell(tmp_path, command, run.url).stdout for _ in range(4)]
    assert [answer.splitlines()[-1] for answer in answers] == ["200", "200", "200", "429"]
    # It is filled up again at 500 a second, at once or in a moment.
    assert re.search(r'ratelimit: "whole";r=(999|1000);t=0', answers[0]), answers[0]
    assert 'ratelimit: "client";r=2;t=0' in answers[0]
    assert 'ratelimit-policy: "client";q=3;w=60, "whole";q=500;w=1' in answers[0]
    assert re.search(r"retry-after: \d+", answers[3])
    assert "urn:atoll:problem:rate-limited" in answers[3]
