import subprocess
import sys
from itertools import product
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from shop.frontend.pictures import PALETTES, PATTERNS, picture
from shop.frontend.shapes import SHAPES

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "shop"


@pytest.mark.parametrize("shape", SHAPES)
def test_every_picture_is_a_whole_svg_document(shape: str) -> None:
    for palette, pattern in product(PALETTES, PATTERNS):
        root = ET.fromstring(picture(shape, palette, pattern))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(root) > 6  # style, pattern, backdrop, and something to look at


def test_every_class_of_a_drawing_has_its_colour() -> None:
    for shape in SHAPES:
        root = ET.fromstring(picture(shape, "lagoon", "stars"))
        style = root[0].text or ""
        classes = {name for element in root.iter() for name in element.get("class", "").split()}
        assert {name for name in classes if f".{name}{{" not in style} == set()


def test_a_picture_is_the_same_in_another_process() -> None:
    code = "from shop.frontend.pictures import picture; print(picture('mug', 'lagoon', 'waves'))"
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=SHOP.parent, env={"PYTHONHASHSEED": "7"}, capture_output=True, check=True
    )
    assert other.stdout.decode().strip() == picture("mug", "lagoon", "waves")


def test_pictures_of_different_looks_differ() -> None:
    drawn = [picture(shape, palette, "plain") for shape in SHAPES for palette in PALETTES]
    assert len(set(drawn)) == len(SHAPES) * len(PALETTES)


def test_a_look_that_nobody_can_draw_is_refused() -> None:
    with pytest.raises(KeyError):
        picture("yacht", "lagoon", "plain")


def test_every_product_of_the_collection_can_be_drawn() -> None:
    rows = [
        line
        for line in (SHOP / "catalog" / "migrations" / "0002_collection.sql").read_text().splitlines()
        if line.startswith("('")
    ]
    looks = [tuple(part.strip(" '") for part in row.split(", '")[4:7]) for row in rows]
    assert len(looks) == 60
    assert all(picture(*look) for look in looks)
