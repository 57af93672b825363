"""docs/reference/api.md: each public name with its signature and what its docstring says."""

import inspect
import re
from collections.abc import Iterator

import atoll

HEAD = """# The public names of atoll

`from atoll import …`. Written from the docstrings (`UPDATE_GOLDEN=1 pytest tests/test_surface.py` writes it anew).
"""

GROUPS: dict[str, tuple[str, ...]] = {
    "The system": ("System", "Service", "Asgi", "Process", "External"),
    "What a member has": ("Postgres", "Limits", "Replicas", "Slo", "Secret"),
    "The gateway": ("Gateway", "Jwt", "ApiKeys", "RateLimit", "Cors"),
    "Contracts": ("get", "post", "put", "patch", "delete", "Fault", "Response"),
    "Events and schedules": ("Topic", "publishes", "consumes", "Event", "every"),
    "What a constructor is given": ("Database", "Transaction", "Publisher", "Caller"),
    "Errors of calls": (
        *("CallFailed", "Unreachable", "ConnectionLost", "DeadlineExceeded"),
        *("CircuitOpen", "Refused", "ServerFailed", "BadAnswer"),
    ),
    "Other errors": ("AtollError", "DatabaseError", "QueryFailed", "ConstraintViolated", "EventError"),
}

_WIDE = 100
_INTERNAL = ("place", "_")
"""Parameters that atoll fills in itself."""


def api_reference() -> str:
    """The page."""
    lines = [HEAD]
    for title, names in GROUPS.items():
        lines.append(f"## {title}\n")
        for name in names:
            lines += _entry(name)
    return "\n".join(lines).rstrip() + "\n"


def _entry(name: str) -> Iterator[str]:
    thing = getattr(atoll, name)
    [base] = [each.__name__ for each in getattr(thing, "__bases__", ()) if each.__name__ in atoll.__all__] or [""]
    yield f"### {name}{f' ({base})' if base else ''}\n"
    if _is_made_by_users(thing):
        yield _code(name, inspect.signature(thing))
    yield from _text(thing)
    for method, function in inspect.getmembers(thing, inspect.isfunction) if inspect.isclass(thing) else ():
        if not method.startswith("_") and function.__module__.startswith("atoll."):
            before = "async " if inspect.iscoroutinefunction(function) else ""
            yield _code(f"{before}{name}.{method}", inspect.signature(function))
            yield from _text(function)


def _is_made_by_users(thing: object) -> bool:
    """Not what atoll makes and hands over, nor a base class."""
    return not (getattr(thing, "_is_protocol", False) or (isinstance(thing, type) and issubclass(thing, Exception)))


def _code(name: str, signature: inspect.Signature) -> str:
    parameters = [each for each in signature.parameters.values() if not each.name.startswith(_INTERNAL)]
    parameters = [each for each in parameters if each.name != "self"]
    texts, keywords = [], False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not keywords:
            keywords = True
            texts.append("*")
        texts.append(_plain(str(each)))
    result = signature.return_annotation
    arrow = f" -> {_plain(inspect.formatannotation(result))}" if "." in name and result is not signature.empty else ""
    line = f"{name}({', '.join(texts)}){arrow}"
    if len(line) > _WIDE:
        line = f"{name}(\n" + "".join(f"    {text},\n" for text in texts) + f"){arrow}"
    return f"```python\n{line}\n```\n"


def _plain(text: str) -> str:
    """An annotation as one writes it."""
    text = re.sub(r"\b(?:collections\.abc|contextlib|typing|datetime|atoll(?:\.\w+)+)\.(?=[A-Z])", "", text)
    text = re.sub(r"\bdatetime\.(?=datetime)", "", text)
    text = re.sub(r"Optional\[(\w+)\]", r"\1 | None", text)
    return text.replace("~", "").replace("<factory>", "...").replace("type[object]", "type").replace("'", '"')


def _text(thing: object) -> Iterator[str]:
    """The docstring; what it says of each parameter is a list."""
    paragraphs = (inspect.getdoc(thing) or "").split("\n\n")
    for paragraph in paragraphs:
        items = re.split(r"(?:^|(?<=\. )|(?<=\.\n))(?=\w+(?:, \w+)*: )", paragraph)
        kept = [" ".join(item.split()) for item in items if item.strip()]
        yield "\n".join(re.sub(r"^(\w+(?:, \w+)*): ", _as_item, item) for item in kept) + "\n"


def _as_item(found: re.Match[str]) -> str:
    return f"- {', '.join(f'`{name}`' for name in found[1].split(', '))}: "
