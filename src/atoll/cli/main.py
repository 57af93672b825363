"""`atoll`: finds the command, and turns what goes wrong into words and an exit status."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

from atoll.errors import EXTRA_MISSING, AtollError

try:
    import click
except ModuleNotFoundError:
    # An image has what services need and no more: whoever calls us there is told in one line.
    sys.exit(str(EXTRA_MISSING.at(command="", package="click", extra="atoll[local]")))

from atoll.cli.exits import PROBLEMS, USAGE, status_of
from atoll.cli.lazy import Commands
from atoll.cli.problems import show_problems

# name: (module, what it does). Help is made from this table, for loading every command takes a quarter of a second.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "new": ("new", "Make a project that runs: one service, its database, a test."),
    "run": ("run", "Run the system here, on real engines, until Ctrl-C."),
    "check": ("check", "Find everything that is wrong with the system, without running it."),
    "status": ("status", "Show what runs, what waits for what, and why."),
    "dashboard": ("dashboard", "Open the dashboard: live map, traces, logs, events, alerts."),
    "logs": ("logs", "Show what the processes write."),
    "traces": ("traces", "List recent traces, or show one as a tree."),
    "call": ("call", "Call an operation of a service: atoll call catalog.product product_id=7"),
    "token": ("token", "Print a token for this machine, of a caller with these scopes."),
    "key": ("key", "Make an API key for a client, and the line that the gateway knows it by."),
    "psql": ("psql", "Open the database of a service."),
    "graph": ("graph", "Show who calls whom, and which events go where."),
    "events": ("events", "Follow events; look at dead letters, and send them again."),
    "restart": ("restart", "Replace the processes of a service."),
    "fault": ("fault", "Let services fail on purpose: atoll fault payment errors=0.5"),
    "stop": ("stop", "Stop the system that runs here."),
    "build": ("build", "Build an image for each service."),
    "deploy": ("deploy", "Bring a cluster to what is declared here."),
    "rollback": ("rollback", "Bring back an earlier revision in a cluster."),
    "destroy": ("destroy", "Remove the system from a cluster."),
    "render": (
        "render",
        "Make documents of the declaration: openapi, asyncapi, kubernetes, compose, prometheus.",
    ),
}

# What answers where --environment names a cluster; it needs the cluster's client, and the others do not.
IN_A_CLUSTER: Mapping[str, str] = {
    "dashboard": "dashboard_cluster",
    "fault": "fault_cluster",
    "logs": "logs_cluster",
    "status": "status_cluster",
}


@click.group(
    cls=Commands,
    table=COMMANDS,
    elsewhere=IN_A_CLUSTER,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 problems, 2 wrong usage, 3 nothing runs here.",
)
@click.version_option(package_name="atoll", message="atoll %(version)s")
def atoll() -> None:
    """Write, run and observe systems of services."""


def invoke(arguments: Sequence[str]) -> int:
    """Run a command, and return the exit status."""
    as_json = "--json" in arguments
    try:
        returned = atoll.main(args=list(arguments), prog_name="atoll", standalone_mode=False)
    except AtollError as error:
        show_problems(error.problems, as_json=as_json)
        return status_of(error)
    except click.ClickException as error:
        error.show()
        return USAGE
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # `atoll logs | head`: nobody reads any more. What is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PROBLEMS
    return returned if isinstance(returned, int) else 0


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does: a loop cancels what runs, and everything is cleaned up."""
    handler = signal.getsignal(signal.SIGINT)
    # It may be ignored, as a shell does in the background.
    (handler if callable(handler) else signal.default_int_handler)(signal.SIGINT, frame)


def main() -> NoReturn:
    for each in (signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores one of them, and means it.
        if signal.getsignal(each) is signal.SIG_DFL:
            signal.signal(each, _interrupt)
    sys.exit(invoke(sys.argv[1:]))


if __name__ == "__main__":
    main()
