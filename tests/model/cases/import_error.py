def broken() -> str:
    return undefined  # type: ignore[name-defined]  # noqa: F821


VALUE = broken()
