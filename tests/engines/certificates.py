"""Certificates of an authority of the tests' own, in a folder that changes as a mounted Secret does."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "shop.example"


@dataclass
class MountedSecret:
    """A folder with `tls.crt` and `tls.key`, which are links into the folder that `..data` leads to."""

    folder: Path
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def renew(self) -> int:
        """Another certificate, put in place by one renaming; its serial number."""
        number = next(self._numbers)
        self._swap(number, *signed(number))
        return number

    def spoil(self) -> None:
        """Put a certificate in place with the key of another."""
        number = next(self._numbers)
        self._swap(number, signed(number)[0], signed(number)[1])

    def _swap(self, number: int, certificate: bytes, key: bytes) -> None:
        content = self.folder / f"..{number}"
        content.mkdir(parents=True)
        (content / "tls.crt").write_bytes(certificate)
        (content / "tls.key").write_bytes(key)
        new = self.folder / "..data_tmp"
        new.symlink_to(content.name)
        new.rename(self.folder / "..data")
        for name in ("tls.crt", "tls.key"):
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")


def signed(number: int) -> tuple[bytes, bytes]:
    """A certificate for HOST with this serial number, signed by itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    written = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), written


def trusting_anybody() -> ssl.SSLContext:
    """Of a client that looks at the certificate by itself."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def serial_of(transport: ssl.SSLObject | ssl.SSLSocket) -> int:
    """Of the certificate that the other side has shown."""
    shown = transport.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number
