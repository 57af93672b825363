"""Passwords, kept so that a stolen table is of little use: salted scrypt of the standard library."""

import base64
import hashlib
import hmac
import secrets

# 2^14 rounds over blocks of 8 take about 50 ms and 16 MiB: nothing for one person, much for a million guesses.
COST = 2**14
BLOCK = 8
SALT_BYTES = 16


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


# No password has this hash: what to compare with where there is no account, so that the time of an answer is the same.
NOBODY = f"scrypt${COST}${BLOCK}${_text(bytes(SALT_BYTES))}${_text(bytes(64))}"


def hashed(password: str) -> str:
    """What to store: cost, salt and hash in one text. Takes about 50 ms of CPU: call it in a thread."""
    salt = secrets.token_bytes(SALT_BYTES)
    return f"scrypt${COST}${BLOCK}${_text(salt)}${_text(_scrypt(password, salt, COST, BLOCK))}"


def matches(password: str, stored: str) -> bool:
    """Whether `stored` was made of this password. Takes as long as `hashed`, whatever the answer."""
    _, cost, block, salt, digest = stored.split("$")
    candidate = _scrypt(password, base64.b64decode(salt), int(cost), int(block))
    return hmac.compare_digest(candidate, base64.b64decode(digest))


def _scrypt(password: str, salt: bytes, cost: int, block: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=1)
