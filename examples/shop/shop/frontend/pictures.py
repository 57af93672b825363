"""The picture of a product, drawn from its looks: the same looks are the same bytes, so browsers may keep them."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from .shapes import SHAPES

SIZE = 400


@dataclass(frozen=True)
class Palette:
    """The colours of one picture, as CSS colours."""

    sky: str
    glow: str
    main: str
    dark: str
    light: str
    accent: str


PALETTES: Mapping[str, Palette] = {
    "lagoon": Palette("#e3f4f1", "#bfe6df", "#2a9d8f", "#1d7168", "#8fd6cb", "#f4a261"),
    "ocean": Palette("#e4eefb", "#c3daf5", "#3b7dd8", "#27579b", "#a5c9f4", "#ffb454"),
    "coral": Palette("#fdebe5", "#fbd2c5", "#e76f51", "#b54c31", "#f7b9a5", "#2a9d8f"),
    "sand": Palette("#f8f1e3", "#eee0c2", "#d0a561", "#9c7638", "#ecd6a8", "#3f8f8a"),
    "moss": Palette("#ecf3e2", "#d5e6bf", "#7a9e48", "#557330", "#bcd49a", "#e07a5f"),
    "honey": Palette("#fdf5dc", "#f9e6a8", "#eab024", "#b47f0e", "#f8db83", "#d1495b"),
    "plum": Palette("#f3eaf6", "#e2cdea", "#8e5aa8", "#653d7a", "#c9a6d8", "#f2a65a"),
    "night": Palette("#e6e8f3", "#c9cee6", "#3a4276", "#262b52", "#9aa3d0", "#f6c453"),
    "rose": Palette("#fcebef", "#f7cfd8", "#d9698a", "#a8456a", "#f2b3c3", "#4d9078"),
    "fog": Palette("#eef2f3", "#d8e1e4", "#7f9aa6", "#586f7a", "#bccdd4", "#e9a23b"),
}

# Tiles that repeat over the product's body; `light` and `dark` are classes of the palette.
PATTERNS: Mapping[str, str] = {
    "plain": "",
    "waves": '<path class="line light-line" stroke-width="4" d="M-10 12q10-12 20 0t20 0 20 0"/>',
    "stripes": '<path class="light" d="M0 0h30v9h-30z"/>',
    "dots": '<circle class="light" cx="8" cy="8" r="4.5"/><circle class="light" cx="23" cy="23" r="4.5"/>',
    "leaves": '<path class="light" d="M4 18q2-14 16-14-2 14-16 14z"/><path class="dark" d="M18 29q1-8 9-8-1 8-9 8z"/>',
    "stars": '<path class="accent" d="M10 3l2 5 5 2-5 2-2 5-2-5-5-2 5-2z"/><path class="light" d="M22 22h4v4h-4z"/>',
    "checks": '<path class="light" d="M0 0h15v15h-15zM15 15h15v15h-15z"/>',
    "scales": (
        '<path class="line dark-line" stroke-width="3" '
        'd="M0 0a15 15 0 0 0 30 0M-15 15a15 15 0 0 0 30 0 15 15 0 0 0 30 0"/>'
    ),
}

STYLE = (
    ".main{{fill:{main}}}.dark{{fill:{dark}}}.light{{fill:{light}}}.accent{{fill:{accent}}}.ink{{fill:#2b2f3a}}"
    ".paper{{fill:#fffdf7}}.leaf{{fill:#4c8b57}}.leafy{{fill:#6fae74}}.flame{{fill:#ffb02e}}.lens{{fill:{dark};opacity:.82}}"
    ".glow{{fill:#fff2b8;opacity:.75}}.pattern{{fill:url(#p);opacity:.6}}"
    ".line{{fill:none;stroke-linecap:round;stroke-linejoin:round}}.shine{{stroke:#fff;opacity:.38}}.main-line{{stroke:{main}}}"
    ".dark-line{{stroke:{dark}}}.light-line{{stroke:{light}}}.accent-line{{stroke:{accent}}}.ink-line{{stroke:#2b2f3a}}"
    ".paper-line{{stroke:#fffdf7}}.leaf-line{{stroke:#4c8b57}}.drop-line{{stroke:#6bb6d6}}"
)


def picture(shape: str, palette: str, pattern: str) -> str:
    """One product as a complete SVG document.

    Raises KeyError for a name that is not in SHAPES, PALETTES or PATTERNS.
    """
    strokes, colours, tile = SHAPES[shape], PALETTES[palette], PATTERNS[pattern]
    style = STYLE.format_map(vars(colours))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" role="img"><style>{style}</style>'
        f'<defs><pattern id="p" width="30" height="30" patternUnits="userSpaceOnUse">{tile}</pattern></defs>'
        f"{_backdrop(colours, f'{shape}/{palette}/{pattern}')}{''.join(strokes)}</svg>"
    )


def _backdrop(colours: Palette, seed: str) -> str:
    """Sky, a sun and a hill, and the shadow; their places follow from the looks, not from chance."""
    roll = zlib.crc32(seed.encode())  # not hash(): it differs from process to process
    sun_x, sun_y, radius = 60 + roll % 280, 70 + roll // 280 % 70, 112 + roll // 19600 % 50
    lean = 20 - roll // 980000 % 40
    return (
        f'<path fill="{colours.sky}" d="M0 0h{SIZE}v{SIZE}h-{SIZE}z"/>'
        f'<circle fill="{colours.glow}" opacity=".7" cx="{sun_x}" cy="{sun_y}" r="{radius}"/>'
        f'<path fill="{colours.glow}" d="M0 {306 + lean // 2}q100-{30 - lean // 2} 200-6t200-{abs(lean)}V{SIZE}H0z"/>'
        f'<ellipse fill="{colours.dark}" opacity=".16" cx="200" cy="330" rx="112" ry="13"/>'
    )
