"""Imports the user's code, and tells whose fault it is when that fails."""

import ast
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path

from atoll.errors import IMPORT_FAILED, NO_SUCH_NAME
from atoll.model.suggest import nearest

_OURS = str(Path(__file__).parent.parent)


def load(target: str) -> object:
    """The module "package.module", or "package.module:name" in it.

    Raises AtollError: IMPORT_FAILED with the traceback of the user's own frames, NO_SUCH_NAME.
    """
    module_name, _, name = target.partition(":")
    try:
        found: object = importlib.import_module(module_name)
    except Exception as error:
        raise import_failed(module_name, error) from error
    for part in name.split(".") if name else ():
        if not hasattr(found, part):
            names = [each for each in vars(found) if not each.startswith("_")]
            raise NO_SUCH_NAME.error(has=nearest(part, names), module=module_name, name=part)
        found = getattr(found, part)
    return found


def import_failed(module_name: str, error: Exception) -> Exception:
    """IMPORT_FAILED at the user's line, with the traceback of their frames alone."""
    place, detail = user_frames(error)
    return IMPORT_FAILED.error(place, detail=detail, module=module_name, reason=f"{type(error).__name__}: {error}")


def user_frames(error: Exception) -> tuple[str, str]:
    """The user's line where it happened, "" if none is to blame; and the traceback without frames of ours."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_OURS, "<frozen")) and "importlib" not in frame.filename
    ]
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
    return place, "".join(traceback.format_list(frames) + traceback.format_exception_only(error))


def imported_files(module_name: str, folder: Path) -> tuple[str, ...]:
    """The project's files that this loaded module imports, directly or not, with its own; sorted, absolute."""
    root = str(folder.resolve())
    found: dict[str, str] = {}
    waiting = {module_name}
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None) or ""
        if name in found or not file.startswith(root) or "site-packages" in file:
            continue
        found[name] = file
        # A package's __init__ runs before its modules do.
        waiting |= _imports(name, Path(file)) | {name.rpartition(".")[0]}
    return tuple(sorted(set(found.values())))


def _imports(module_name: str, file: Path) -> set[str]:
    """The modules named in the file's import statements; some of the names may be none."""
    package = module_name if file.name == "__init__.py" else module_name.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names
