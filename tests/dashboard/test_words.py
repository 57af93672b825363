"""Figures and texts as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.dashboard.words import addressed, ago, cut, milliseconds, number, plain, rate, share, size


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (rate(1234), "1.2k/s"),
        (rate(57.2), "57/s"),
        (rate(7.31), "7.3/s"),
        (rate(0.05), "3/min"),
        (rate(0.001), "<1/min"),
        (milliseconds(0.42), "0.4 ms"),
        (milliseconds(9.97), "10 ms"),
        (milliseconds(12.3), "12 ms"),
        (milliseconds(999.7), "1.0 s"),
        (milliseconds(1530), "1.5 s"),
        (milliseconds(12_000), "12 s"),
        (share(0.5), "50 %"),
        (share(0.004), "0.4 %"),
        (share(0.0000001), "0.1 %"),
        (share(0.0), "0 %"),
        (size(1536), "1.5 KiB"),
        (size(12), "12 B"),
        (size(3 * 2**30), "3.0 GiB"),
        (number(1234567), "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"),
        (ago(12.3), "12 s"),
        (ago(150), "2 min"),
        (ago(7_300), "2 h"),
    ],
)
def test_figures_are_short(found: str, wanted: str) -> None:
    assert found == wanted


@given(text=st.text())
def test_no_control_character_comes_through(text: str) -> None:
    assert all(each.isprintable() or each in "\n\t\u202f" for each in plain(text))


def test_the_thin_space_of_a_large_number_stays_one() -> None:
    assert plain(number(5675)) == "5\u202f675"


def test_terminal_escapes_and_turned_text_are_shown() -> None:
    assert plain("\x1b[31mred\x07 \u202egnp.exe\nnext é 世") == "␛[31mred\\x07 \\u202egnp.exe\nnext é 世"


def test_a_text_that_is_cut_says_how_much_is_missing() -> None:
    assert cut("abcd", 4) == "abcd"
    assert cut("a" * 5_004, 4) == "aaaa … 5\u202f000 more"


def test_a_name_in_an_address_is_quoted_and_not_endless() -> None:
    assert addressed('a b/c?"') == "a%20b/c%3F%22"
    assert len(addressed("\U0001f600" * 10_000)) < 5_000
