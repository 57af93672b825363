"""Problems as a person, or a program, reads them."""

import dataclasses
import json
import sys
from collections.abc import Sequence

import click

from atoll.dashboard.words import plain
from atoll.errors import Problem

_LABELS = ("at   ", "has  ", "do   ")


def show_problems(problems: Sequence[Problem], *, as_json: bool) -> None:
    """On standard error for people; on standard output, where the answer would be, for programs."""
    if as_json:
        click.echo(json.dumps({"problems": [dataclasses.asdict(problem) for problem in problems]}))
        return
    for problem in problems:
        click.echo(styled(problem), err=True)
    if len(problems) > 1:
        click.echo(f"\n{len(problems)} problems", err=True)
    sys.stderr.flush()


def styled(problem: Problem) -> str:
    """Its lines, the number and what to do emphasised where colours are shown."""
    lines = plain(str(problem)).splitlines()
    first = click.style(problem.code, fg="red", bold=True) + lines[0].removeprefix(problem.code)
    return "\n".join([first, *(_styled(line) for line in lines[1:])])


def _styled(line: str) -> str:
    text = line.lstrip()
    if text.startswith(_LABELS):
        indent = line[: len(line) - len(text)]
        return indent + click.style(text[:4], dim=True) + text[4:]
    return line
