"""The files that images are made of, read from a project's folders."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from atoll.engines.prometheus import RULES
from atoll.errors import SECRET_FILE, AtollError
from atoll.kubernetes.compose import COMPOSE
from atoll.kubernetes.credentials import reason_against
from atoll.kubernetes.ignored import Ignored
from atoll.kubernetes.image import Contents, Folder, contents_of, is_data, is_of_node, is_searched, is_sent
from atoll.kubernetes.names import KUSTOMIZATION, RENDERED, Target
from atoll.kubernetes.patterns import is_matched, patterns_of
from atoll.kubernetes.resolve import project_of
from atoll.wire.description import MemberData

_SHOWN = 5
_RENDERED = (COMPOSE, f"{KUSTOMIZATION}.yaml", RULES)


@dataclass(frozen=True, slots=True)
class Sources:
    """Which files of a project may be in images.

    project: what paths are told from. include: patterns of those that are, whatever git or their content says.
    """

    project: Path
    ignored: Ignored = field(default_factory=Ignored)
    include: tuple[str, ...] = ()

    def shown(self, file: Path) -> str:
        """Its path from the project's folder, with slashes."""
        return Path(os.path.relpath(file, self.project)).as_posix()

    def is_included(self, file: Path) -> bool:
        return is_matched(self.shown(file), self.include)

    def takes(self, file: Path, root: Path) -> bool:
        """root: the folder above it that the declaration names."""
        return not self.ignored.has(file, root) or self.is_included(file)

    def enters(self, folder: Path, root: Path) -> bool:
        """Whether anything in it may be taken: not in what `atoll render` wrote, which is made from the sources."""
        is_wanted = bool(self.include) or not self.ignored.has(folder, root)
        return is_wanted and not _is_rendered(folder)

    def notes(self, folders: Mapping[Path, Path]) -> tuple[str, ...]:
        """What to say of files that a user may miss, or not want. folders: see folders_of."""
        if self.ignored.unasked:
            return (f"{self.ignored.unasked}: files that .gitignore names may be in the images",)
        left = [
            self.shown(each)
            for each in sorted(self.ignored.paths)
            if any(each.is_relative_to(folder) and each != folder for folder in folders)
            and is_sent(each.name)
            and not self.is_included(each)
        ]
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        return (f"left out, as git ignores it: {', '.join(left[:_SHOWN])}{more}",) if left else ()


def folders_of(target: Target) -> dict[Path, Path]:
    """The folders that are searched, each with the one that the declaration names: the project, or a program's own."""
    project = Path(project_of(target))
    found: dict[Path, Path] = {}
    for member in target.members:
        if member.kind == "process":
            found[Path(member.directory)] = Path(member.directory)
        else:
            found |= {Path(each): project for each in contents_of(target, member).folders}
    return {folder: root for folder, root in found.items() if folder.is_dir()}


def package_files(sources: Sources, member: MemberData, contents: Contents) -> dict[str, bytes]:
    """Of a service in Python, by their path from the project. Raises AtollError SECRET_FILE."""
    files = {Path(each) for each in contents.modules}
    for folder in contents.folders:
        files |= set(_data(sources, Path(folder), contents))
    read = {each: each.read_bytes() for each in sorted(files)}
    _refuse_secrets(sources, member, read)
    return {str(each.relative_to(sources.project)): content for each, content in read.items()}


def node_folder(sources: Sources, member: MemberData) -> Folder:
    """Of a service in Node.js without a Dockerfile. Raises AtollError SECRET_FILE."""
    root = Path(member.directory)
    return _folder(sources, member, [each for each in _walk(sources, root, root) if is_of_node(_below(each, root))])


def whole_folder(sources: Sources, member: MemberData) -> Folder:
    """All files of a program's folder but what was made from others, and what is secret. Raises AtollError SECRET_FILE.

    What its .dockerignore names does not get into the image, so it may be secret.
    """
    root = Path(member.directory)
    return _folder(sources, member, list(_walk(sources, root, root)))


def _folder(sources: Sources, member: MemberData, files: list[Path]) -> Folder:
    root = Path(member.directory)
    read = {each: each.read_bytes() for each in files}
    ignore = read.get(root / ".dockerignore", b"").decode(errors="replace")
    patterns = patterns_of(ignore)
    _refuse_secrets(
        sources, member, {file: each for file, each in read.items() if not is_matched(_below(file, root), patterns)}
    )
    executable = frozenset(_below(each, root) for each in files if each.stat().st_mode & 0o100)
    return Folder({_below(file, root): content for file, content in read.items()}, executable)


def _refuse_secrets(sources: Sources, member: MemberData, read: Mapping[Path, bytes]) -> None:
    judged = {file: reason_against(file.name, content) for file, content in read.items()}
    problems = [
        SECRET_FILE.at(str(file), file=sources.shown(file), service=member.name, reason=reason)
        for file, reason in judged.items()
        if reason and not sources.is_included(file)
    ]
    if problems:
        raise AtollError(*problems)


def _data(sources: Sources, folder: Path, contents: Contents) -> Iterator[Path]:
    """The data files of a package: those of packages below it are not its own."""
    for each in sorted(folder.iterdir()):
        if each.is_dir():
            is_other = str(each) in contents.without or (each / "__init__.py").is_file()
            if is_searched(each.name) and not is_other and sources.enters(each, sources.project):
                yield from _data(sources, each, contents)
        elif each.is_file() and is_data(each.name) and sources.takes(each, sources.project):
            yield each


def _walk(sources: Sources, folder: Path, root: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if not is_sent(each.name):
            continue
        if each.is_dir():
            if sources.enters(each, root):
                yield from _walk(sources, each, root)
        elif each.is_file() and sources.takes(each, root):
            yield each


def _below(file: Path, root: Path) -> str:
    return str(file.relative_to(root))


def _is_rendered(folder: Path) -> bool:
    """Whether `atoll render` wrote it."""
    files = (folder / name for name in _RENDERED)
    return any(each.is_file() and each.read_bytes().startswith(RENDERED.encode()) for each in files)
