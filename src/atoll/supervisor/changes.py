"""What a change of files means for a system that runs."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

import msgspec

from atoll.supervisor.plan import Plan
from atoll.wire.description import Description, MemberData

_CODE: frozenset[str] = frozenset(
    {
        ".c",
        ".cs",
        ".cjs",
        ".cpp",
        ".ex",
        ".exs",
        ".go",
        ".h",
        ".java",
        ".js",
        ".jsx",
        ".kt",
        ".lua",
        ".mjs",
        ".php",
        ".pl",
        ".py",
        ".rb",
        ".rs",
        ".sh",
        ".ts",
        ".tsx",
    }
)


@dataclass(frozen=True, slots=True)
class Effect:
    """Services to replace, and those to be prepared anew."""

    replace: frozenset[str]
    prepare: frozenset[str]


def watched_folders(description: Description) -> frozenset[str]:
    """The folders of every file that the system is made of; those of programs with all that is below them."""
    files = [*description.files, *(file for member in description.members for file in member.files)]
    migrations = [member.database.migrations for member in description.members if member.database]
    programs = [member.directory for member in description.members if member.kind == "process"]
    environments = str(Path(description.folder) / "environments")
    return frozenset(folder for folder in (*map(_parent, files), *migrations, *programs, environments) if folder)


def is_relevant(path: str, description: Description) -> bool:
    """Whether a change to this file can mean anything to the system; any Python file's can, for it may be new."""
    is_ours = Path(path).suffix in (".py", ".sql", ".toml") or path in description.files
    return is_ours or any(_is_of_process(path, member) for member in description.members)


def affected(old: Plan, new: Plan, changed: Set[str]) -> Effect:
    """What has to follow from changed files, and from what the new plan says differently."""
    replaced: set[str] = set()
    prepared: set[str] = set()
    for member in new.description.members:
        before = old.description.member(member.name)
        if before is None or not _runs(new, member.name):
            continue
        files = {*member.files, *before.files}
        if files & changed or _is_any_of_process(changed, member) or _uses_changed_secret(new, member, changed):
            replaced.add(member.name)
    for process in new.processes:
        known = old.process(process.name)
        if known is not None and process.left_out is None and known != process:
            replaced.add(process.service)
    for service, document in new.preparations.items():
        migrated = bool(document.migrations) and any(_is_below(path, document.migrations) for path in changed)
        if migrated or old.preparations.get(service) != document:
            prepared.add(service)
    if old.gateway_port and (_listener(old) != _listener(new) or _uses_changed_keys(new, changed)):
        replaced.add("envoy")
    return Effect(frozenset(replaced), frozenset(prepared))


def _runs(plan: Plan, service: str) -> bool:
    return any(each.service == service and each.left_out is None for each in plan.processes)


def _uses_changed_secret(plan: Plan, member: MemberData, changed: Iterable[str]) -> bool:
    uses = bool(member.all_secrets) or bool(member.database and member.database.secret)
    return uses and _is_environment(plan, changed)


def _listener(plan: Plan) -> object:
    """What Envoy reads once: all of the gateway but where its routes lead."""
    gateway = plan.description.gateway
    fixed = msgspec.structs.replace(gateway, expose=(), public=()) if gateway else None
    return plan.gateway_port, plan.local_keys, fixed


def _uses_changed_keys(plan: Plan, changed: Iterable[str]) -> bool:
    gateway = plan.description.gateway
    return bool(gateway and gateway.api_keys) and _is_environment(plan, changed)


def _is_environment(plan: Plan, changed: Iterable[str]) -> bool:
    environments = str(Path(plan.description.folder) / "environments")
    return any(_is_below(path, environments) for path in changed)


def _is_any_of_process(changed: Iterable[str], member: MemberData) -> bool:
    return any(_is_of_process(path, member) for path in changed)


def _is_of_process(path: str, member: MemberData) -> bool:
    """Of a program nothing is known of its files, so all code in its folder counts; not the data it writes there."""
    if member.kind != "process" or not _is_below(path, member.directory):
        return False
    return Path(path).suffix in _CODE or Path(path) in {Path(member.directory, word) for word in member.command}


def _is_below(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def _parent(file: str) -> str:
    return str(Path(file).parent)
