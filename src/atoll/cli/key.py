"""`atoll key`."""

import click
import msgspec

from atoll.cli.options import json_option
from atoll.errors import BAD_ARGUMENT
from atoll.model.access import CLIENT
from atoll.provision.client_keys import known_as, new_client_key


@click.command("key")
@click.argument("client")
@json_option
def command(client: str, as_json: bool) -> None:
    """Make an API key for CLIENT, and the line for the secret that ApiKeys(...) names.

    The key is for the client, and is shown this once; the line holds a hash of it, and is not secret to anybody who
    runs the gateway.
    """
    if not CLIENT.fullmatch(client):
        raise BAD_ARGUMENT.error(
            argument=client, reason="it can't name a client", do="use lower-case letters, digits and hyphens"
        )
    key = new_client_key(client)
    if as_json:
        click.echo(msgspec.json.encode({"client": client, "key": key, "line": known_as(key)}).decode())
        return
    click.echo(f"key   {key}")
    click.echo(f"line  {known_as(key)}")
