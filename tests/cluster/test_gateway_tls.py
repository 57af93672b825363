"""The gateway of a cluster ends TLS with the Secret that its environment names, and follows it."""

import http.client
import ssl
from urllib.parse import urlsplit

import pytest

from tests.cluster.kubectl import Object
from tests.cluster.programs import Failed
from tests.cluster.shop import Shop
from tests.engines.certificates import serial_of, signed, trusting_anybody
from tests.waiting import until

PORT = 30085
NAME = "certificate"
# The kubelet looks at what it has mounted about once a minute.
FOLLOWED_WITHIN = 150.0

pytestmark = pytest.mark.timeout(600)


def secret(number: int) -> Object:
    """With a certificate of this serial number."""
    certificate, key = signed(number)
    data = {"tls.crt": certificate.decode(), "tls.key": key.decode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME},
        "type": "kubernetes.io/tls",
        "stringData": data,
    }


def test_a_way_in_by_tls_is_the_only_one_and_shows_a_renewed_certificate_without_a_new_pod(shop: Shop) -> None:
    old, new = "node_port = 30080", f'node_port = 30080\ntls_node_port = {PORT}\ntls = "{NAME}"'
    name = shop.environment("encrypted", old=old, new=new)
    host = urlsplit(shop.url).hostname
    assert host
    try:
        # Given an environment that names a Secret which is not there: it is said, and customers are served as before
        with pytest.raises(Failed, match=f"(?s)gateway does not come up: .*{NAME}.*not found"):
            shop.atoll("deploy", "-e", name, "--timeout", "40")
        assert asked(http.client.HTTPConnection(host, 30080, timeout=10))[0] == 200
        # When it is made
        shop.kubectl.apply(secret(1))
        shop.atoll("deploy", "-e", name)
        shop.left("gateway")
        # Then it is what customers are shown, and who comes without TLS is sent there
        until(lambda: shown(host) == 1, "the certificate is shown", within=30, every=0.5)
        status, location = asked(http.client.HTTPConnection(host, 30080, timeout=10))
        assert (status, location) == (308, f"https://{host}:{PORT}/products")
        # When it is renewed, then the same pods show the new one
        pods = shop.pods("gateway")
        shop.kubectl.apply(secret(2))
        until(lambda: shown(host) == 2, "the renewed certificate is shown", within=FOLLOWED_WITHIN, every=1.0)
        assert shop.pods("gateway") == pods
    finally:
        shop.kubectl.delete("secret", NAME)
        shop.atoll("deploy", "-e", "test")
        shop.left("gateway")
        shop.opened()
    assert asked(http.client.HTTPConnection(host, 30080, timeout=10))[0] == 200


def asked(connection: http.client.HTTPConnection) -> tuple[int, str]:
    """Status and where it sends the client to."""
    connection.request("GET", "/products")
    with connection.getresponse() as answer:
        answer.read()
        return answer.status, answer.headers.get("location", "")


def shown(host: str) -> int:
    """The serial number of the certificate that a new client is shown, who is served then; 0 if he is not let in."""
    connection = http.client.HTTPSConnection(host, PORT, timeout=10, context=trusting_anybody())
    try:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        number = serial_of(connection.sock)
        assert asked(connection)[0] == 200
    except (OSError, http.client.HTTPException):  # the node's proxy may lead him to one that has left
        return 0
    finally:
        connection.close()
    return number
