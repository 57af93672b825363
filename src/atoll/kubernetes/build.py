"""Builds images with docker or buildah, from contexts that have everything in them."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atoll.errors import BUILD_FAILED, BUILDER_MISSING, BUILDER_UNUSABLE
from atoll.kubernetes.image import Image
from atoll.kubernetes.steps import step_of

_LAST_LINES = 12
_CHUNK = 65_536
_ENDS_WITHIN = 10.0
"""Seconds in which a builder that is told to end does so, or is killed."""
Say = Callable[[str], None]
Tell = Callable[[str, str], None]
"""Told of an image which step is made now; "" when it is over."""


@dataclass(frozen=True, slots=True)
class Builder:
    """The program that builds. environment: all of it, with BuildKit asked for."""

    program: str
    environment: Mapping[str, str]

    @property
    def is_buildah(self) -> bool:
        return Path(self.program).name == "buildah"

    async def has(self) -> frozenset[str]:
        """The references of all images that are there. Raises AtollError BUILDER_UNUSABLE."""
        name = ".Name" if self.is_buildah else ".Repository"
        arguments = [self.program, "images", "--format", f"{{{{{name}}}}}:{{{{.Tag}}}}"]
        status, lines = await run(arguments, self.environment)
        if status:
            reason = lines[-1].rstrip(".") if lines else f"it ended with {status}"
            raise BUILDER_UNUSABLE.error(program=self.program, reason=reason)
        # buildah writes "localhost/" before a name without a registry.
        return frozenset(line.strip().removeprefix("localhost/") for line in lines)

    def command(self, image: Image, context: Path, dockerfile: Path, labels: Mapping[str, str]) -> list[str]:
        """What builds it. Touches nothing."""
        arguments = [self.program, "build", "--file", str(dockerfile), "--tag", image.reference]
        for name, value in image.arguments.items():
            arguments += ["--build-arg", f"{name}={value}"]
        for name, value in labels.items():
            arguments += ["--label", f"{name}={value}"]
        # Everything that it needs is in the context, unless the Dockerfile is the user's, who may fetch what he likes.
        arguments += [] if image.is_own else ["--network", "none"]
        # buildah keeps neither layers between builds nor, in its own format, a HEALTHCHECK.
        arguments += ["--layers", "--format", "docker"] if self.is_buildah else ["--progress", "plain"]
        return [*arguments, str(context)]

    async def build(
        self, image: Image, context: Path, dockerfile: Path, log: Path, labels: Mapping[str, str], tell: Tell
    ) -> None:
        """Raises AtollError BUILD_FAILED with the last lines; all of them are in the log."""

        def hear(line: str) -> None:
            if step := step_of(line):
                tell(image.name, step)

        arguments = self.command(image, context, dockerfile, labels)
        tell(image.name, "begins")
        try:
            status, lines = await run(arguments, self.environment, hear)
        finally:
            tell(image.name, "")
        log.write_text("\n".join(lines) + "\n")
        if status:
            raise BUILD_FAILED.error(
                service=image.name,
                reason=f"{Path(self.program).name} ended with {status}",
                log=log,
                detail="\n".join(lines[-_LAST_LINES:]),
            )

    async def push(self, image: Image, log: Path) -> None:
        """Raises AtollError BUILD_FAILED."""
        status, lines = await run([self.program, "push", image.reference], self.environment)
        if status:
            log.write_text("\n".join(lines) + "\n")
            reason = f"{image.reference} could not be pushed"
            raise BUILD_FAILED.error(service=image.name, reason=reason, log=log, detail="\n".join(lines[-_LAST_LINES:]))


def find_builder(variables: Mapping[str, str], wanted: str = "") -> Builder:
    """docker where it is, else buildah; or the one that is wanted.

    Raises AtollError: BUILDER_MISSING; BUILDER_UNUSABLE if the one that is wanted is not there.
    """
    for name in (wanted,) if wanted else ("docker", "buildah"):
        program = shutil.which(name, path=variables.get("PATH"))
        if program:
            return Builder(program, {**variables, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"})
    if wanted:
        raise BUILDER_UNUSABLE.error(program=wanted, reason="there is no such program")
    raise BUILDER_MISSING.error()


def write_context(folder: Path, images: Sequence[Image]) -> None:
    """What these images have in common and what each has of its own, in one folder; what is stale goes."""
    wanted = {path: content for image in images for path, content in image.files.items()}
    executable = {path for image in images for path in image.executable}
    folder.mkdir(parents=True, exist_ok=True)
    services = {path.split("/")[1] for path in wanted if path.startswith("services/")}
    for place in folder.glob("services/*"):
        if place.name in services:
            _remove_others(place, {folder / path for path in wanted})
    for path, content in wanted.items():
        file = folder / path
        if not file.is_file() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        file.chmod(0o755 if path in executable else 0o644)
        for above in file.relative_to(folder).parents:
            (folder / above).chmod(0o755)


def _remove_others(folder: Path, wanted: Iterable[Path]) -> None:
    kept = set(wanted)
    for file in folder.rglob("*"):
        if file.is_file() and file not in kept:
            file.unlink()


async def run(
    arguments: Sequence[str], environment: Mapping[str, str], hear: Say | None = None
) -> tuple[int, list[str]]:
    """The exit status, and the lines of output and errors together. The program ends with us.

    hear: told each line as it comes.
    """
    process = await asyncio.create_subprocess_exec(
        *arguments,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        async for line in _lines(process.stdout):
            lines.append(line)
            if hear is not None:
                hear(line)
        status = await process.wait()
    except BaseException:
        await _end(process)
        raise
    return status, lines


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let it put away what it has begun. What it says meanwhile is read: it could not end otherwise."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_ENDS_WITHIN):
            await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _lines(output: asyncio.StreamReader) -> AsyncIterator[str]:
    """Of any length; a bar that a program draws over itself is a line each time."""
    rest = b""
    while chunk := await output.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        for each in whole:
            for line in each.decode(errors="replace").splitlines() or [""]:
                yield line
    for line in rest.decode(errors="replace").splitlines():
        yield line
