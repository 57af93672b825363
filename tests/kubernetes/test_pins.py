from pathlib import Path

import pytest

from atoll.errors import AtollError
from atoll.kubernetes.pins import Pins, pins_file, read_pins, written

DIGEST = f"sha256:{'a' * 64}"


def place(folder: Path, text: str) -> None:
    file = pins_file(folder, "production")
    file.parent.mkdir()
    file.write_text(text)


def test_without_a_file_tags_are_used_as_they_are(tmp_path: Path) -> None:
    assert read_pins(tmp_path, "production").base("python:3.13").name == "python:3.13"


def test_what_is_written_is_read_back_and_used(tmp_path: Path) -> None:
    place(tmp_path, written({"python:3.13": DIGEST, "localhost:5000/a/b:1": DIGEST}))
    assert read_pins(tmp_path, "production").base("python:3.13").name == f"python@{DIGEST}"


def test_a_name_that_has_its_digest_needs_none(tmp_path: Path) -> None:
    assert Pins(tmp_path, {}).base(f"python@{DIGEST}").name == f"python@{DIGEST}"


def test_a_tag_that_the_file_lacks_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    place(tmp_path, written({"python:3.13": DIGEST}))
    with pytest.raises(AtollError, match=r"production\.lock\.toml has no digest of python:3\.14") as raised:
        read_pins(tmp_path, "production").base("python:3.14")
    (problem,) = raised.value.problems
    assert problem.has == ("python:3.13",)
    assert "--pin" in problem.do


@pytest.mark.parametrize("text", ["[images", "[other]", "[images]\nx = 1", '[images]\n"python:3" = "sha256:beef"'])
def test_a_file_that_is_not_what_was_written_is_refused(tmp_path: Path, text: str) -> None:
    place(tmp_path, text)
    with pytest.raises(AtollError, match=r"production\.lock\.toml can't be used"):
        read_pins(tmp_path, "production")
