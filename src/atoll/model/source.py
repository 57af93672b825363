"""Where something stands in the user's source."""

import inspect
import linecache
import re
from pathlib import Path


def place_of(thing: object) -> str:
    """ "file.py:12" of a class or function, "" if it has no source; the file as Python knows it."""
    unwrapped = inspect.unwrap(thing) if callable(thing) else thing
    code = getattr(unwrapped, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    return _place_of_class(unwrapped) if isinstance(unwrapped, type) else ""


def _place_of_class(cls: type) -> str:
    """Found in the text of its file.

    `inspect` would parse the whole file for each class. CPython's parser fails besides, with a SystemError, when
    garbage that is collected meanwhile parses something too, as the log of a task's lost exception does:
    https://github.com/python/cpython/issues/106905.
    """
    try:
        file = inspect.getsourcefile(cls)
    except (OSError, TypeError):
        return ""
    heading = re.compile(rf"\s*class\s+{re.escape(cls.__name__)}\b")
    lines = [number for number, line in enumerate(linecache.getlines(file or ""), 1) if heading.match(line)]
    codes = [code for value in vars(cls).values() if (code := getattr(value, "__code__", None)) is not None]
    # Of several of that name, the one with this one's first method in it.
    inside = min((code.co_firstlineno for code in codes if code.co_filename == file), default=0)
    line = max((line for line in lines if line < inside), default=min(lines, default=0))
    return f"{file}:{line}" if line else ""


def place_of_caller() -> str:
    """ "file.py:12" of the nearest frame outside atoll: where a declaration was written."""
    here = str(Path(__file__).parent)
    frame = inspect.currentframe()
    # "<string>" is the __init__ that dataclass made.
    while frame is not None and frame.f_code.co_filename.startswith((here, "<string>")):
        frame = frame.f_back
    if frame is None:
        return ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
