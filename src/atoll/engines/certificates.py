"""The certificate of the gateway's TLS port, which Envoy reads anew whenever it is renewed."""

from dataclasses import dataclass
from pathlib import PurePath

from atoll.engines.engine import File
from atoll.engines.xds import TYPE, named, resources

_NAME = "gateway"


@dataclass(frozen=True, slots=True)
class Tls:
    """A port for HTTPS, and the files of the certificate with its chain and of its key.

    They lie in one folder, and are replaced by renaming: themselves, or a link in that folder which leads to them, as
    in a mounted Secret. document: where it is told of them; a listener's own certificate would never be read again.
    """

    port: int
    certificate: PurePath
    key: PurePath
    document: PurePath


def certificate_file(tls: Tls) -> File:
    """What tells Envoy where the certificate is, and to follow it; connections keep the one that they began with."""
    secret: dict[str, object] = {
        "@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": _NAME,
        "tls_certificate": {
            "certificate_chain": {"filename": str(tls.certificate)},
            "private_key": {"filename": str(tls.key)},
            "watched_directory": {"path": str(tls.certificate.parent)},
        },
    }
    return resources(tls.document, [secret])


def encrypted(tls: Tls) -> dict[str, object]:
    """The transport socket of its port."""
    followed = {"resource_api_version": "V3", "path_config_source": {"path": str(tls.document)}}
    return named(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "tls_certificate_sds_secret_configs": [{"name": _NAME, "sds_config": followed}],
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        },
    )
