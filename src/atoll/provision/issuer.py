"""An issuer of tokens for one machine: its key, the public half that the gateway is given, and the tokens."""

import json
from collections.abc import Iterable

from atoll.wire.description import GatewayData

LOCAL_ISSUER = "urn:atoll:local"
_ALGORITHM = "ES256"


def audiences(gateway: GatewayData) -> tuple[str, ...]:
    """Whom the declared issuers make tokens for, and so the local one too."""
    return tuple(dict.fromkeys(each.audience for each in gateway.issuers))


# Both libraries are loaded by whom a system has asked to know its callers: they take a tenth of a second.


def new_key() -> str:
    """A private key, as PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def public_keys(key: str) -> str:
    """The JWKS with the public half of this key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from jwt.algorithms import ECAlgorithm

    private = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    numbers = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return json.dumps({"keys": [{**numbers, "alg": _ALGORITHM, "use": "sig", "kid": "local"}]})


def sign(key: str, audience: Iterable[str], subject: str, scopes: Iterable[str], *, now: int, expires: int) -> str:
    """A token of the local issuer. now: seconds of the epoch. expires: seconds until it is no longer good."""
    import jwt

    claims = {
        "iss": LOCAL_ISSUER,
        "aud": list(audience),
        "sub": subject,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + expires,
    }
    return jwt.encode(claims, key, _ALGORITHM, headers={"kid": "local"})
