"""`atoll call`."""

import http.client
import json
import secrets
from urllib.parse import urlsplit

import click

from atoll.cli.exits import DONE, PROBLEMS
from atoll.cli.options import json_option, target_option
from atoll.cli.project import control_of
from atoll.cli.request import Request, find_operation, request_of
from atoll.errors import NOT_READY, UNANSWERED

_PATIENCE = 30.0


@click.command("call")
@click.argument("operation")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="Sent with the request.")
@target_option
@json_option
def command(
    operation: str, values: tuple[str, ...], headers: tuple[str, ...], target: str | None, as_json: bool
) -> int:
    """Call an operation of a service that runs here, such as catalog.product product_id=7.

    Parameters are given by name; other names are fields of the JSON body, which can also be given whole by its own
    name. The service is asked directly, whether or not the gateway exposes it. Exit status 1 if it answers 400 or
    above.
    """
    control = control_of(target)
    description, status = control.description(), control.status()
    service, found = find_operation(description, operation)
    request = request_of(found, description.schemas, values)
    addresses = status.addresses.get(service, ())
    if not addresses:
        raise NOT_READY.error(system=service, seconds=0, folder=f"{status.state}/logs")
    trace = secrets.token_hex(16)
    code, body = _send(addresses[0], request, trace, headers)
    if as_json:
        click.echo(json.dumps({"status": code, "trace": trace, "body": _parsed(body)}))
    else:
        _show(code, body, trace)
    return DONE if code < 400 else PROBLEMS


def _send(address: str, request: Request, trace: str, headers: tuple[str, ...]) -> tuple[int, bytes]:
    """Raises UNANSWERED."""
    parts = urlsplit(address)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=_PATIENCE)
    sent = {"accept": "application/json", "traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    if request.body is not None:
        sent["content-type"] = "application/json"
    for header in headers:
        name, _, value = header.partition(":")
        sent[name.strip()] = value.strip()
    try:
        connection.request(request.method, parts.path.rstrip("/") + request.path, request.body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise UNANSWERED.error(address=address, reason=reason) from error
    finally:
        connection.close()


def _show(code: int, body: bytes, trace: str) -> None:
    """The answer alone on standard output, so that it can go on into another program."""
    parsed = _parsed(body)
    reason = http.client.responses.get(code, "")
    colour = "green" if code < 400 else "red"
    click.echo(click.style(f"{code} {reason}", fg=colour) + click.style(f"  trace {trace[:12]}", dim=True), err=True)
    if body:
        click.echo(parsed if isinstance(parsed, str) else json.dumps(parsed, indent=2, ensure_ascii=False))


def _parsed(body: bytes) -> object:
    """The JSON value of a body; the text of anything else; None of none."""
    if not body:
        return None
    try:
        parsed: object = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    return parsed
