"""Which files are keys, passwords or databases, and so no part of an image."""

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

_PRIVATE = re.compile(
    # With the key after it, also where it is a text of JSON; a program that only looks for the line is none.
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[rn])+"
    rb"(?:[A-Za-z0-9+/=]{40}|Proc-Type:|Version:|Comment:)"
)
_BEGINS = (
    (b"SQLite format 3\0", "is a SQLite database"),
    (b"PGDMP", "is a dump of a PostgreSQL database"),
    (b"PuTTY-User-Key-File-", "is a private key"),
    (b"\xfe\xed\xfe\xed", "is a Java keystore"),
)
_ENTRY = re.compile(rb'"[^"\n]*(?:secret|passw|pwd|token|key|auth)[^"\n]*"\s*:\s*"[^"\n]+"', re.IGNORECASE)
_TOKEN = re.compile(rb"^[^#;\n]*(?:_authToken|_auth|_password)\s*=\s*[^\s$]", re.MULTILINE)


NAMES: Mapping[str, str] = {
    **dict.fromkeys(("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"), "is named like a private key"),
    **dict.fromkeys(("*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk"), "is named like a store of keys"),
    **dict.fromkeys(("*.sqlite", "*.sqlite3", "*.db3"), "is named like a SQLite database"),
    **dict.fromkeys((".netrc", ".pgpass", ".git-credentials", ".htpasswd", ".pypirc"), "is named like passwords"),
}
"""Names that nothing else has, and what is wrong with a file that has one."""


def reason_against(name: str, content: bytes) -> str:
    """Why a file is no part of an image, such as "has a private key in it"; "" if nothing is wrong with it.

    The content decides where it can, so that no data is taken for a secret.
    """
    if b"PRIVATE KEY" in content and _PRIVATE.search(content):
        return "has a private key in it"
    for beginning, reason in _BEGINS:
        if content.startswith(beginning):
            return reason
    for pattern, reason, means in _JUDGED:
        if pattern.fullmatch(name) and means(content):
            return reason
    return next((reason for pattern, reason in NAMES.items() if fnmatchcase(name, pattern)), "")


def is_named(path: str) -> bool:
    """Whether the file has one of NAMES."""
    return any(fnmatchcase(path.rpartition("/")[2], each) for each in NAMES)


def _is_key(content: bytes) -> bool:
    """A presentation may be called so, and a public key."""
    return bool(content.strip()) and not content.startswith(b"PK") and b"PUBLIC KEY-----" not in content


_JUDGED: tuple[tuple[re.Pattern[str], str, Callable[[bytes], object]], ...] = (
    (re.compile(r".*\.key"), "is named like a private key", _is_key),
    (re.compile(r".*(?:credentials|client_secret|service[-_]account).*\.json"), "has credentials in it", _ENTRY.search),
    (re.compile(r"\.npmrc"), "has a token in it", _TOKEN.search),
)
