"""Keys of clients: long enough that a hash of one tells nothing, so that only hashes need to be kept."""

import base64
import hashlib
import secrets

_BYTES = 32


def new_client_key(client: str) -> str:
    """What the client sends, such as "partner.eHj…"."""
    return f"{client}.{secrets.token_urlsafe(_BYTES)}"


def known_as(key: str) -> str:
    """The line of the secret that the gateway checks the key with; in the form of Apache's password files.

    SHA-1 is what Envoy knows. Of 256 random bits it can't be turned back, and that it collides is of no use to anybody.
    """
    client, _, value = key.partition(".")
    digest = hashlib.sha1(value.encode(), usedforsecurity=False).digest()
    return f"{client}:{{SHA}}{base64.b64encode(digest).decode()}"
