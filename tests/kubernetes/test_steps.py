"""What a builder does is told while it does it; nothing of what it says is lost."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from atoll.errors import BUILD_FAILED, AtollError
from atoll.kubernetes.build import Builder, run
from atoll.kubernetes.image import Image
from atoll.kubernetes.steps import step_of


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("#8 [packages 2/4] RUN pip install --no-index", "packages 2/4 RUN pip install --no-index"),
        ("#12 [2/6] COPY requirements.txt ./", "2/6 COPY requirements.txt ./"),
        ("Step 3/9 : WORKDIR /app", "3/9 WORKDIR /app"),
        ("STEP 3/9: WORKDIR /app", "3/9 WORKDIR /app"),
        ("[1/2] STEP 2/5: RUN npm ci", "2/5 RUN npm ci"),
        ("#1 [internal] load build definition from Dockerfile", ""),
        ("#8 0.412 Collecting msgspec", ""),
        ("#8 DONE 1.2s", ""),
        ("", ""),
    ],
)
def test_a_step_is_known_by_the_line_that_begins_it(line: str, step: str) -> None:
    assert step_of(line) == step


async def test_a_line_is_heard_while_the_program_still_runs(tmp_path: Path) -> None:
    # Given a program that says something, and goes on when somebody has heard it
    released = tmp_path / "released"
    os.mkfifo(released)
    script = f"print('first', flush=True); print(open({str(released)!r}).read()); print('last', end='')"
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        if line == "first":
            released.write_text("second")

    # When it runs
    async with asyncio.timeout(20):
        status, lines = await run([sys.executable, "-c", script], os.environ, hear)
    # Then each line was heard, and is kept
    assert status == 0
    assert heard == lines == ["first", "second", "last"]


async def test_lines_of_any_length_and_bytes_of_any_kind_are_kept() -> None:
    script = "import sys; sys.stdout.buffer.write(b'x' * 300_000 + b'\\n\\n\\xff\\n10%\\r20%\\n')"
    _, lines = await run([sys.executable, "-c", script], os.environ)
    assert lines == ["x" * 300_000, "", "\ufffd", "10%", "20%"]


async def test_of_a_build_that_fails_the_steps_are_told_and_the_log_has_all_of_it(tmp_path: Path) -> None:
    # Given a builder that fails at its second step, after many words
    program = tmp_path / "docker"
    words = "".join(f"echo '#6 0.1 word {number}'\n" for number in range(100))
    program.write_text(f"#!/bin/sh\necho '#5 [1/2] FROM base'\necho '#6 [2/2] RUN npm ci'\n{words}exit 3\n")
    program.chmod(0o755)
    image = Image("web", "shop", "programs/web", "FROM base\n", {}, {}, ())
    told: list[tuple[str, str]] = []
    log = tmp_path / "web.log"
    builder = Builder(str(program), os.environ)
    # When it builds
    with pytest.raises(AtollError) as raised:
        await builder.build(image, tmp_path, tmp_path / "Dockerfile", log, {}, lambda *each: told.append(each))
    # Then its steps were told, and that it is over
    assert told == [("web", "begins"), ("web", "1/2 FROM base"), ("web", "2/2 RUN npm ci"), ("web", "")]
    (problem,) = raised.value.problems
    assert problem.code == BUILD_FAILED.code
    assert problem.detail.endswith("word 99")
    assert len(log.read_text().splitlines()) == 102
