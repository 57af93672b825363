"""What is in an image, file by file, as `docker save` tells it."""

import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from tests.cluster.docker import Docker


@dataclass(frozen=True)
class Entry:
    """kind: of tar. hash: of a file's content, or where a link leads."""

    kind: str
    mode: int
    owner: tuple[int, int]
    size: int
    hash: str


@dataclass(frozen=True)
class Layer:
    """digest: of all its bytes, times included. entries: by path."""

    digest: str
    entries: Mapping[str, Entry]

    @property
    def size(self) -> int:
        return sum(each.size for each in self.entries.values())


@dataclass(frozen=True)
class Saved:
    """configuration: what a container is run with."""

    layers: Sequence[Layer]
    configuration: Mapping[str, Any]

    def above(self, base: "Saved") -> Sequence[Layer]:
        """What was put on the base, which is the first of its layers."""
        count = len(base.layers)
        assert [each.digest for each in self.layers[:count]] == [each.digest for each in base.layers]
        return self.layers[count:]


def saved(docker: Docker, reference: str) -> Saved:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        docker.run("save", "--output", archive, reference)
        with tarfile.open(archive) as image:
            (manifest,) = json.load(_member(image, "manifest.json"))
            configuration = json.load(_member(image, manifest["Config"]))
            digests = configuration["rootfs"]["diff_ids"]
            layers = [
                Layer(digest, dict(_entries(_member(image, name))))
                for digest, name in zip(digests, manifest["Layers"], strict=True)
            ]
    return Saved(layers, configuration["config"])


def _member(image: tarfile.TarFile, name: str) -> IO[bytes]:
    found = image.extractfile(name)
    assert found is not None
    return found


def _entries(layer: IO[bytes]) -> Iterator[tuple[str, Entry]]:
    with tarfile.open(fileobj=layer) as archive:
        for each in archive:
            content = archive.extractfile(each) if each.isreg() else None
            hashed = sha256(content.read()).hexdigest() if content else each.linkname
            kind = each.type.decode()
            yield each.name, Entry(kind, each.mode, (each.uid, each.gid), each.size, hashed)
