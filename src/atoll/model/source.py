"""Where something stands in the user's source."""

import inspect
from pathlib import Path


def place_of(thing: object) -> str:
    """ "file.py:12" of a class or function, "" if it has no source; the file as Python knows it."""
    unwrapped = inspect.unwrap(thing) if callable(thing) else thing
    code = getattr(unwrapped, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    try:
        file = inspect.getsourcefile(unwrapped)  # type: ignore[arg-type]
        _, line = inspect.getsourcelines(unwrapped)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return ""
    return f"{file}:{line}"


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
