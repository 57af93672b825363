"""Where a secret's value may stand on a laptop."""

from typing import cast

from atoll.model.resources import Secret


def entry_of(secret: Secret) -> str:
    """Its name in environments/local.toml: NAME, or NAME.KEY where the Kubernetes Secret has several keys."""
    return secret.name if secret.key == "value" else f"{secret.name}.{secret.key}"


def entries_of(secrets: object) -> dict[str, object]:
    """The entries of [secrets] by name, whether it has "stripe.key" = "…", stripe.key = "…" or [secrets.stripe].

    Empty for what is no table.
    """
    found: dict[str, object] = {}
    if isinstance(secrets, dict):
        for name, value in cast("dict[str, object]", secrets).items():
            inner = entries_of(value)
            found |= {f"{name}.{key}": each for key, each in inner.items()} if inner else {name: value}
    return found


def variable_of(secret: Secret) -> str:
    """The environment variable that may hold it."""
    suffix = "" if secret.key == "value" else f"_{secret.key}"
    return f"ATOLL_SECRET_{secret.name}{suffix}".upper().replace("-", "_").replace(".", "_")
