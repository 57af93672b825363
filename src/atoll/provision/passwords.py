"""Passwords that nobody has to remember."""

import secrets

_BYTES = 32


def new_password() -> str:
    """256 random bits. Begins with a letter, for NATS reads a variable that begins with a digit as a number."""
    return "p" + secrets.token_hex(_BYTES)
