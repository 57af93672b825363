import pytest
import yaml as library
from hypothesis import example, given
from hypothesis import strategies as st

from atoll.kubernetes.text import yaml

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@given(st.lists(st.dictionaries(st.text(), values, min_size=1, max_size=4), min_size=1, max_size=3))
@example([{".0": None}])
def test_what_is_written_is_what_a_reader_reads(objects: list[dict[str, object]]) -> None:
    assert list(library.safe_load_all(yaml(objects))) == objects


@pytest.mark.parametrize(
    "text", ["yes", "No", "on", "null", "~", "1e3", "0x10", "12:30", "1_000", "2026-01-01", "-", ""]
)
def test_a_text_that_looks_like_something_else_stays_a_text(text: str) -> None:
    assert library.safe_load(yaml([{"value": text, text: "key"}])) == {"value": text, text: "key"}


@pytest.mark.parametrize(
    "text", ["a\nb\n", "a\nb", "a\n\nb\n", " a\nb", "\na", "a\n\n", "a \nb\n", "a\tb\nc", "a\r\nb"]
)
def test_lines_are_kept(text: str) -> None:
    assert library.safe_load(yaml([{"value": text}])) == {"value": text}


def test_lines_are_written_as_lines_and_names_without_quotes() -> None:
    written = yaml([{"image": "registry.example.com/shop/users:12@sha256:0f", "script": "set -eu\nexec postgres\n"}])
    assert written == (
        "---\nimage: registry.example.com/shop/users:12@sha256:0f\nscript: |\n  set -eu\n  exec postgres\n"
    )
