"""environments/NAME.lock.toml: what the tags of foreign images meant when they were last looked up."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from atoll.errors import BAD_PINS, UNPINNED
from atoll.kubernetes.reference import Base, is_digest

_HEAD = """\
# What these tags meant when `atoll build --pin` last asked. Images are built from, and engines run as, just these:
# keep this file in version control, and ask again for what is newer.
[images]
"""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    images: dict[str, str]


@dataclass(frozen=True, slots=True)
class Pins:
    """Digests by the names that they stand for. file: where they are kept; it need not be there.

    digests: None where nothing was ever pinned, and so tags are used as they are.
    """

    file: Path
    digests: Mapping[str, str] | None = field(default=None)

    def base(self, name: str) -> Base:
        """Raises AtollError UNPINNED if there are digests, but none of this name."""
        if self.digests is None or "@" in name:
            return Base(name)
        if name not in self.digests:
            raise UNPINNED.error(str(self.file), has=sorted(self.digests), file=self.file.name, image=name)
        return Base(name, self.digests[name])


def pins_file(folder: Path, environment: str) -> Path:
    """folder: of the system file."""
    return folder / "environments" / f"{environment}.lock.toml"


def read_pins(folder: Path, environment: str) -> Pins:
    """Those beside the file of the environment. Raises AtollError BAD_PINS."""
    file = pins_file(folder, environment)
    if not file.is_file():
        return Pins(file)
    try:
        digests = msgspec.convert(tomllib.loads(file.read_text()), _File).images
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, OSError) as error:
        raise BAD_PINS.error(str(file), file=file.name, reason=str(error)) from error
    for name, digest in digests.items():
        if not is_digest(digest):
            raise BAD_PINS.error(str(file), file=file.name, reason=f"{digest!r} of {name} is no sha256 digest")
    return Pins(file, digests)


def written(digests: Mapping[str, str]) -> str:
    """The text of the file: the same digests give the same bytes."""
    return _HEAD + "".join(f'"{name}" = "{digests[name]}"\n' for name in sorted(digests))
