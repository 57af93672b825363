"""`atoll fault`."""

import json
from collections.abc import Mapping, Sequence

import click
import msgspec

from atoll.cli.options import elsewhere_option, json_option, target_option
from atoll.cli.project import control_of
from atoll.errors import BAD_ARGUMENT
from atoll.model.launch import InjectedFault
from atoll.supervisor.faults import FaultAsked

_KINDS: Mapping[str, str] = {
    "errors": "errors is a share from 0 to 1",
    "latency": "latency is 0 to 60 seconds",
}
"""What is told of a value that is none."""

_DO = "write SERVICE ... and errors=0.5 (a share), latency=0.8 (seconds), kill, or off"


@click.command("fault")
@click.argument("what", nargs=-1, required=True, metavar="SERVICE... FAULT...")
@target_option
@elsewhere_option
@json_option
def command(what: tuple[str, ...], target: str | None, as_json: bool) -> None:
    """Let services fail on purpose, to see how the others take it.

    \b
    atoll fault payment errors=0.5        answers 500 to half of the requests
    atoll fault payment latency=0.8       each answer is 0.8 s late
    atoll fault payment cart errors=0.1 latency=0.2
    atoll fault payment-1 kill            kill -9, once; it is started again
    atoll fault payment off               as ever

    It holds for the processes of a service, or one of them, until `off` or the end of the run; `atoll status` shows it.
    A program, and an engine, can only be killed. A cluster takes such orders only where its environment allows them.
    """
    asked = read(what)
    names = control_of(target).fault(asked)
    if as_json:
        click.echo(json.dumps({"processes": names}))
    else:
        does = "killed" if asked.kill else str(asked.fault) if asked.fault else "no fault any more"
        click.echo(f"{', '.join(names)}: {does}")


def read(what: Sequence[str]) -> FaultAsked:
    """Names first or last, as it comes. Raises BAD_ARGUMENT."""
    names = tuple(each for each in what if "=" not in each and each not in ("kill", "off"))
    values = [each.split("=", 1) for each in what if "=" in each]
    is_off, kills = "off" in what, "kill" in what
    if not names:
        raise BAD_ARGUMENT.error(argument="atoll fault", reason="no service is named", do=_DO)
    if bool(values) + is_off + kills != 1:
        raise BAD_ARGUMENT.error(argument=" ".join(what), reason="it needs one kind of fault", do=_DO)
    if kills:
        return FaultAsked(names, kill=True)
    fault = InjectedFault()
    told: set[str] = set()
    for kind, value in values:
        if kind in told:
            raise BAD_ARGUMENT.error(argument=" ".join(what), reason=f"{kind} is told twice", do=f"write {kind} once")
        told.add(kind)
        if kind not in _KINDS:
            raise BAD_ARGUMENT.error(argument=" ".join(what), reason=f"{kind} is no kind of fault", do=_DO)
        try:
            one = msgspec.convert({kind: value}, InjectedFault, strict=False)
        except msgspec.ValidationError as error:
            raise BAD_ARGUMENT.error(argument=" ".join(what), reason=_KINDS[kind], do=_DO) from error
        fault = InjectedFault(fault.errors or one.errors, fault.latency or one.latency)
    return FaultAsked(names, fault)
