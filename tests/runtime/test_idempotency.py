"""What a key is, and what tells two requests apart."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import BAD_KEY, AtollError
from atoll.runtime.idempotency import ANSWER_LIMIT, KEY_LIMIT, Answer, Idempotency, KeyRefused, fingerprint


def encode(value: object) -> Answer:
    return Answer(201, (), str(value).encode())


@pytest.mark.parametrize("key", ["a", "8e03978e-40d5-43dd-bc93-6894a57f9324", "ü" * (KEY_LIMIT // 2), '"', "a b"])
def test_a_key_is_any_short_printable_text(key: str) -> None:
    assert Idempotency(key, b"", encode).key == key


def test_the_quotes_of_a_structured_field_do_not_belong_to_the_key() -> None:
    assert Idempotency('"8e03"', b"", encode).key == "8e03"


@pytest.mark.parametrize("key", ["", '""', "a" * (KEY_LIMIT + 1), "ü" * KEY_LIMIT, "a\nb", "a\x00"])
def test_a_key_that_is_empty_too_long_or_not_printable_is_a_bad_request(key: str) -> None:
    with pytest.raises(KeyRefused) as refused:
        Idempotency(key, b"", encode)
    assert (refused.value.status, refused.value.problems[0].code) == (400, "ATL3403")


@given(st.text(max_size=5), st.text(max_size=5), st.binary(max_size=5), st.binary(max_size=5))
def test_requests_that_differ_have_different_fingerprints(a: str, b: str, first: bytes, second: bytes) -> None:
    one, other = ("POST", f"/{a!r}", first), ("POST", f"/{b!r}", second)
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)
    assert fingerprint("PUT", "/", first) != fingerprint("POST", "/", first)


def test_an_answer_that_is_too_large_to_keep_is_refused_where_it_is_given() -> None:
    idempotency = Idempotency("a", b"", encode)
    assert len(idempotency.answer("x" * ANSWER_LIMIT).body) == ANSWER_LIMIT
    with pytest.raises(AtollError, match="ATL3404"):
        idempotency.answer("x" * (ANSWER_LIMIT + 1))


def test_a_refusal_survives_pickling() -> None:
    refusal = KeyRefused(BAD_KEY.at(limit=1), 400)
    again = pickle.loads(pickle.dumps(refusal))
    assert (type(again), again.status, again.problems) == (KeyRefused, 400, refusal.problems)
