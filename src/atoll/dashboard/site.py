"""What all pages share: templates, the frame around each, what the address line says."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from atoll.collector.query import Window
from atoll.collector.values import LimitHit
from atoll.dashboard import words
from atoll.dashboard.live import Live
from atoll.dashboard.sources import Sources

WINDOWS: Mapping[str, float] = {"1 min": 60.0, "5 min": 300.0, "30 min": 1800.0, "3 h": 10_800.0}
"""Between which one chooses on a page."""

RECENT = 900.0
"""Seconds for which a limit that was reached is told of on every page."""

NAME, TEXT = 200, 2_000
"""Characters of a stored name, and of a stored text, that a page shows: of more it says how many."""

_FOLDER = Path(__file__).parent
_COLOURS = 10
_MOST_COLOURED = 1_000


@dataclass(frozen=True, slots=True)
class Site:
    """What a page is made from."""

    sources: Sources
    live: Live
    templates: jinja2.Environment

    def page(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """A whole page."""
        frame = {
            "system": self.sources.system,
            "path": request.url.path,
            "word": request.scope["session_word"],
            "hits": recent(self.sources.query.limits(), time.time()),
        }
        return HTMLResponse(self.piece(template, **frame, **values), status)

    def piece(self, template: str, **values: object) -> Markup:
        """A part of a page, in which every value is escaped."""
        return Markup(self.templates.get_template(template).render(values))  # noqa: S704 (a template's own markup)


def templates() -> jinja2.Environment:
    """With every value escaped and cut: nothing that is stored is ever markup, moves a terminal, or fills a page.

    A value has NAME characters at most, one that says `|text` TEXT; `|own` is what we made, such as the line of a map.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        finalize=_shown,  # in this one place all that is stored is cut, whatever page shows it
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: Mapping[str, Callable[..., object]] = {
        "rate": words.rate,
        "ms": words.milliseconds,
        "share": words.share,
        "size": words.size,
        "number": words.number,
        "clock": words.clock,
        "ago": words.ago,
        "text": _Text,
        "urlencode": lambda name: escape(words.addressed(name)),
        "colour": Colours(),
        "query": _query,
        "own": escape,
    }
    made.filters.update(filters)
    return made


def _query(values: Mapping[str, object]) -> Markup:
    return escape("&".join(f"{key}={words.addressed(str(value))}" for key, value in values.items() if value))


class _Text(str):
    """What people wrote to be read, and not a name."""

    __slots__ = ()


def _shown(value: object) -> object:
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return words.plain(words.cut(value, TEXT if isinstance(value, _Text) else NAME))


class Colours:
    """The class that colours a service, the same on every page: the next one for a service not seen before."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        if len(self._known) >= _MOST_COLOURED:
            self._known.clear()
        return f"c{self._known.setdefault(name, len(self._known) % _COLOURS)}"


def recent(hits: list[LimitHit], now: float) -> list[LimitHit]:
    return [hit for hit in hits if now - hit.last < RECENT]


def window_of(request: Request, usual: str = "1 min") -> tuple[str, Window]:
    """What the page looks at, by the name of the choice."""
    name = request.query_params.get("window", usual)
    if name not in WINDOWS:
        name = usual
    return name, Window.last(WINDOWS[name])


def number_of(request: Request, name: str) -> float:
    """A number of the address line, 0 without one."""
    try:
        found = float(request.query_params.get(name, "") or 0)
    except ValueError:
        return 0.0
    return found if 0 <= found < 1e15 else 0.0
