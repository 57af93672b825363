"""Figures and times as people read them. Pure."""

from datetime import UTC, datetime
from urllib.parse import quote

_THIN = "\N{NARROW NO-BREAK SPACE}"
_SPACES = f"\n\t{_THIN}"
"""Not printable to Python, and harmless: the last stands between our own digits."""

_LONGEST_ADDRESSED = 400
"""Characters; each may be twelve in an address."""


def rate(per_second: float) -> str:
    """0.05 → 3/min, 7.3 → 7.3/s, 1234 → 1.2k/s"""
    if per_second >= 1000:
        return f"{per_second / 1000:.1f}k/s"
    if per_second >= 10:
        return f"{per_second:.0f}/s"
    if per_second >= 1:
        return f"{per_second:.1f}/s"
    return f"{per_second * 60:.0f}/min" if per_second * 60 >= 0.5 else "<1/min"


def milliseconds(value: float) -> str:
    """0.42 → 0.4 ms, 12.3 → 12 ms, 1530 → 1.5 s"""
    if value >= 9_950:
        return f"{value / 1000:.0f} s"
    if value >= 999.5:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 9.95 else f"{value:.1f} ms"


def share(value: float) -> str:
    """0.5 → 50 %, 0.004 → 0.4 %"""
    return f"{value * 100:.0f} %" if value >= 0.1 or not value else f"{max(value * 100, 0.1):.1f} %"


def size(count: float) -> str:
    """1536 → 1.5 KiB"""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def number(value: float) -> str:
    """1234567 → 1 234 567"""
    return f"{value:,.0f}".replace(",", _THIN)


def clock(nanoseconds: int) -> str:
    """The time of day in UTC, to the millisecond."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]


def ago(seconds: float) -> str:
    """12.3 → 12 s, 150 → 2 min, 7300 → 2 h"""
    for least, unit, length in ((86_400 * 2, "d", 86_400), (7_200, "h", 3_600), (120, "min", 60)):
        if seconds >= least:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def cut(text: str, most: int) -> str:
    """abcdef, 4 → abcd … 2 more"""
    return text if len(text) <= most else f"{text[:most]} … {number(len(text) - most)} more"


def addressed(name: str) -> str:
    """As it stands in an address; of a name that is no name any more only the beginning, which leads nowhere."""
    return quote(name[:_LONGEST_ADDRESSED])


def plain(text: str) -> str:
    """The text with every control character made visible, so that no terminal escape does anything where it goes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in _SPACES else _visible(each) for each in text)


def _visible(character: str) -> str:
    """ESC → ␛, U+202E → \\u202e"""
    if character == "\x1b":
        return "␛"
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
