"""`atoll stop`."""

import json
import time

import click

from atoll.cli.options import json_option, target_argument
from atoll.cli.project import find_state
from atoll.supervisor.control import ControlClient
from atoll.supervisor.record import is_alive, read_record

_LOOK_AGAIN = 0.02


@click.command("stop")
@target_argument
@json_option
def command(target: str | None, as_json: bool) -> None:
    """Stop the system that runs here, as Ctrl-C does where it was started, and wait until it has."""
    state = find_state(target, running=True)
    record = read_record(state)
    ControlClient(state).stop()
    while record and is_alive(record):
        time.sleep(_LOOK_AGAIN)
    click.echo(json.dumps({"stopped": True}) if as_json else "stopped")
