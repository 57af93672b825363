"""What is taken for a secret, and what only looks like one."""

import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from atoll.kubernetes.credentials import is_named, reason_against

ED25519 = ed25519.Ed25519PrivateKey.generate()
PEM = ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "content",
    [
        PEM,
        b"Bag Attributes\r\n" + PEM.replace(b"\n", b"\r\n"),
        ED25519.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")),
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ),
        rsa.generate_private_key(65537, 2048).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"password")
        ),
        b'{"type": "service_account", "private_key": "' + PEM.replace(b"\n", b"\\n") + b'"}',
        b'KEY = """\n' + PEM + b'"""\n',
        b"PuTTY-User-Key-File-3: ssh-ed25519\n",
    ],
)
def test_a_private_key_is_one_in_a_file_of_any_name(content: bytes) -> None:
    assert "private key" in reason_against("data.txt", content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("id_rsa", b"anything"),
        ("id_ed25519", b""),
        ("store.p12", b"\x30\x82"),
        ("tls.key", b"\x30\x82\x04"),
        ("dump.sqlite3", b"anything"),
        ("data.bin", b"PGDMP\x01\x0e"),
        ("credentials.json", b'{"password": "a"}'),
        ("aws-credentials-eu.json", b'{"aws_secret_access_key": "a"}'),
        ("client_secret_12.json", b'{"web": {"client_id": "1", "client_secret": "a"}}'),
        (".npmrc", b"//registry.example.com/:_authToken=abc\n"),
        (".netrc", b"machine example.com"),
    ],
)
def test_what_is_secret_by_its_name_and_what_it_has(name: str, content: bytes) -> None:
    assert reason_against(name, content)


def test_a_database_is_one_in_a_file_of_any_name(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "words.dat") as database:
        database.execute("CREATE TABLE words (word TEXT)")
    database.close()
    assert reason_against("words.dat", (tmp_path / "words.dat").read_bytes()) == "is a SQLite database"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("public.pem", PUBLIC),
        ("public.key", PUBLIC),
        ("talk.key", b"PK\x03\x04"),
        ("id_rsa.pub", b"ssh-rsa AAAA"),
        ("parse.js", b'if (text.startsWith("-----BEGIN PRIVATE KEY-----")) throw new Error("a private key")\n'),
        ("keys.md", b"It begins with\n\n    -----BEGIN PRIVATE KEY-----\n\nand ends with another line.\n"),
        ("credentials.json", b'{"title": "Your credentials", "fields": ["name"]}'),
        ("words.json", b'{"password": "Passwort", "token": "Marke"}'),
        (".npmrc", b"//registry.example.com/:_authToken=${NPM_TOKEN}\nsave-exact=true\n"),
        ("0001.sql", b"-- PostgreSQL database dump\nCREATE TABLE a (b int);\n"),
        ("key.py", b"key = 1\n"),
    ],
)
def test_what_only_looks_like_a_secret_is_data(name: str, content: bytes) -> None:
    assert reason_against(name, content) == ""


def test_the_names_that_are_enough_are_known_in_any_folder() -> None:
    assert is_named("src/keys/id_rsa")
    assert not is_named("src/id_rsa/readme")
    # Its content decides, and what was chosen must not be kept from the builder afterwards.
    assert not is_named("public.key")
