"""Figures as Prometheus reads them. Source: Prometheus text exposition format 0.0.4."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
Kind = Literal["histogram", "counter", "gauge"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that is known at this moment. name: as Prometheus writes it, with its unit."""

    name: str
    kind: Kind
    help: str
    value: float
    labels: Mapping[str, str]


def page(figures: Iterable[Figure]) -> str:
    """All of them, sorted by name; those of one name stay in their order."""
    by_name: dict[str, list[Figure]] = {}
    for each in figures:
        by_name.setdefault(each.name, []).append(each)
    lines: list[str] = []
    for name, found in sorted(by_name.items()):
        lines += heading(name, found[0].kind, found[0].help)
        lines += [line(name, tuple(sorted(each.labels.items())), each.value) for each in found]
    return "\n".join(lines) + "\n"


def heading(name: str, kind: Kind, text: str) -> list[str]:
    return [f"# HELP {name} {_escaped(text)}", f"# TYPE {name} {kind}"]


def line(name: str, labels: Labels, value: float) -> str:
    return f"{name}{braces(labels)} {value:.17g}"


def braces(labels: Labels) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{label}="{_escaped(value).replace(chr(34), chr(92) + chr(34))}"' for label, value in labels)
    return "{" + inside + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
