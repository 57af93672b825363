"""Where a project's files come from, as its version control tells it."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from atoll.kubernetes.build import run


async def origin_of(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """OCI annotations: the commit, if all files are as it has them, and the repository. {} where git knows nothing."""
    git, found = ["git", "-C", str(folder)], {}
    try:
        no_revision, revision = await run([*git, "rev-parse", "--verify", "HEAD"], variables)
        no_status, changed = await run([*git, "status", "--porcelain", "--", "."], variables)
        no_source, source = await run([*git, "remote", "get-url", "origin"], variables)
    except OSError:
        return {}
    if not no_revision and not no_status and not changed:
        found["org.opencontainers.image.revision"] = revision[0]
    if not no_source and (address := public(source[0])):
        found["org.opencontainers.image.source"] = address
    return found


def public(address: str) -> str:
    """An address to look at, without the credentials that it may have; "" if it is none, such as a folder."""
    if "://" not in address and "@" in address and ":" in address:
        # git@example.com:shop/shop.git
        host, _, path = address.partition("@")[2].partition(":")
        return f"https://{host}/{path.removesuffix('.git')}"
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https", "ssh"} or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port and parts.scheme != "ssh" else ""
    scheme = "https" if parts.scheme == "ssh" else parts.scheme
    return urlunsplit((scheme, parts.hostname + port, parts.path.removesuffix(".git"), "", ""))
