"""What git leaves out of version control in the folders that images are made from."""

import asyncio
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Ignored:
    """paths: files, and folders with all that is in them. unasked: why git could not say it; "" if it did."""

    paths: frozenset[Path] = frozenset()
    unasked: str = ""

    def has(self, path: Path, root: Path) -> bool:
        """Whether it is left out. What leaves out the root itself says nothing of the files in it."""
        return path in self.paths or any(
            each in self.paths and each.is_relative_to(root) and each != root for each in path.parents
        )


async def ignored_in(folders: Mapping[Path, Path], variables: Mapping[str, str]) -> Ignored:
    """Ask git once a repository.

    folders: that are looked at, each with the folder above it, or itself, that was declared; all absolute. Outside of a
    repository, and in a folder that a repository ignores as a whole, the .gitignore files from there on are meant.
    """
    try:
        return Ignored(frozenset(await _asked(folders, variables)))
    except FileNotFoundError:
        return Ignored(unasked="git was not found")
    except _Refused as error:
        return Ignored(unasked=str(error))


async def _asked(folders: Mapping[Path, Path], variables: Mapping[str, str]) -> set[Path]:
    found: set[Path] = set()
    repositories = {folder: _repository(folder) for folder in folders}
    for top in {each for each in repositories.values() if each is not None}:
        inside = [folder for folder, each in repositories.items() if each == top]
        found |= await _ask(top, (), inside, variables)
    alone = {
        folder: root for folder, root in folders.items() if not repositories[folder] or {root, *root.parents} & found
    }
    with tempfile.TemporaryDirectory() as empty:
        if alone:
            await _run(["init", "--quiet", "--bare", empty], variables)
        for root in set(alone.values()):
            inside = [folder for folder, each in alone.items() if each == root]
            found |= await _ask(root, (f"--git-dir={empty}", f"--work-tree={root}"), inside, variables)
    return found


class _Refused(Exception):
    """git gives no answer; the message is why."""


async def _ask(top: Path, options: Sequence[str], folders: Iterable[Path], variables: Mapping[str, str]) -> set[Path]:
    """From the top of a work tree: asked from inside a folder that is ignored, git fails."""
    arguments = ["ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z", "--"]
    asked = [str(each.relative_to(top)) for each in sorted(folders)]
    answer = await _run(["-C", str(top), *options, "--literal-pathspecs", *arguments, *asked], variables)
    return {top / os.fsdecode(each) for each in answer.split(b"\0") if each}


async def _run(arguments: Sequence[str], variables: Mapping[str, str]) -> bytes:
    # A hook's variables are of another repository. Whose the folder is does not matter: its code was run already.
    environment = {name: value for name, value in variables.items() if not name.startswith("GIT_")}
    process = await asyncio.create_subprocess_exec(
        *("git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", *arguments),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            answer, errors = await process.communicate()
    except (TimeoutError, asyncio.CancelledError) as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise _Refused(f"git took longer than {_PATIENCE:.0f} s") from error
        raise
    if process.returncode:
        raise _Refused(errors.decode(errors="replace").strip().splitlines()[-1] if errors.strip() else "git failed")
    return answer


def _repository(folder: Path) -> Path | None:
    """The top of the work tree that it is in; .git is a file in those of submodules."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)
