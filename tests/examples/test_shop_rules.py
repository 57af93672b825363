"""What the shop's services decide without anybody's help."""

import msgspec
import pytest
from shop.checkout.contract import Line, OrderPlaced
from shop.emails.service import confirmation
from shop.frontend.buying import new_order, what_is_wrong
from shop.frontend.sessions import Customer, Sessions
from shop.money import Money
from shop.payment.contract import DECLINED_CARD, GOOD_CARD, Card
from shop.payment.service import passes_luhn, why_declined
from shop.users import passwords
from shop.users.contract import Credentials, NewUser
from starlette.requests import Request
from starlette.responses import Response

PRICE = Money("EUR", 1850)
FORM = {
    "basket_id": "0123456789abcdef" * 2,
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "street": "12 Quay Street",
    "city": "Galway",
    "country": "Ireland",
    "card": GOOD_CARD,
}


# Payment


def test_a_good_card_is_charged_and_the_card_for_trials_declined() -> None:
    assert why_declined(Card(GOOD_CARD), PRICE, limit=10_000) == ""
    assert "declines" in why_declined(Card(DECLINED_CARD), PRICE, limit=10_000)


def test_no_more_than_the_limit_is_charged_at_once() -> None:
    assert "€ 18.49" in why_declined(Card(GOOD_CARD), PRICE, limit=1849)


@pytest.mark.parametrize("position", range(16))
def test_one_wrong_digit_of_a_card_is_always_noticed(position: int) -> None:
    number = GOOD_CARD.replace(" ", "")
    wrong = number[:position] + str((int(number[position]) + 1) % 10) + number[position + 1 :]
    assert passes_luhn(number)
    assert not passes_luhn(wrong)


def test_neither_card_numbers_nor_passwords_can_be_printed_by_accident() -> None:
    assert repr(Card(GOOD_CARD)) == "Card(…4242)"
    assert "secret12" not in repr(NewUser("Ada", "ada@example.org", "secret12"))
    assert "secret12" not in repr(Credentials("ada@example.org", "secret12"))


# Users


def test_a_password_matches_its_own_hash_and_no_other() -> None:
    stored = passwords.hashed("correct horse")
    assert passwords.matches("correct horse", stored)
    assert not passwords.matches("correct horsf", stored)
    assert not passwords.matches("", passwords.NOBODY)


def test_the_same_password_is_stored_differently_each_time() -> None:
    assert passwords.hashed("correct horse") != passwords.hashed("correct horse")


# Email


def test_a_confirmation_is_the_same_words_for_the_same_order() -> None:
    event = OrderPlaced("a" * 32, "ada@example.org", "Ada", [Line("mug", "Mug", 2, PRICE)], Money("EUR", 3700))
    mail = confirmation(event)
    assert bytes(mail) == bytes(confirmation(event))
    assert mail["To"] == "ada@example.org"
    assert mail["Message-ID"] == f"<{'a' * 32}@sandpiper.example>"
    assert "2 x Mug, € 37.00" in mail.get_content()


def test_a_name_cannot_smuggle_headers_into_a_mail() -> None:
    event = OrderPlaced("a" * 32, "ada@example.org", "Ada\r\nBcc: all@example.org", [], PRICE)
    assert confirmation(event)["Bcc"] is None


# The frontend's forms and cookies


def test_a_filled_form_is_an_order() -> None:
    order = new_order(FORM)
    assert (order.address.city, order.card.ending) == ("Galway", "4242")


@pytest.mark.parametrize("name", ["email", "name", "street", "city", "country", "card"])
def test_each_empty_field_is_named_and_no_other(name: str) -> None:
    wrong = {**FORM, name: ""}
    assert list(what_is_wrong(wrong)) == [name]
    with pytest.raises(msgspec.ValidationError):
        new_order(wrong)


def request_with(response: Response) -> Request:
    """A request of a browser that got this response."""
    cookies = [value.split(b";")[0] for name, value in response.raw_headers if name == b"set-cookie"]
    return Request({"type": "http", "headers": [(b"cookie", b"; ".join(cookies))]})


def test_who_logged_in_is_known_again() -> None:
    sessions, response = Sessions("key"), Response()
    ada = msgspec.convert({"id": "0" * 32, "name": "Ada", "email": "ada@example.org"}, Customer)
    sessions.welcome(response, ada)
    assert sessions.visit(request_with(response)).customer == ada


@pytest.mark.parametrize("cookie", ["", ".", "x", "e30=.00", "é.é"])
def test_a_cookie_that_nobody_signed_counts_for_nothing(cookie: str) -> None:
    request = Request({"type": "http", "headers": [(b"cookie", f"customer={cookie}; basket=../../etc".encode())]})
    visit = Sessions("key").visit(request)
    assert (visit.customer, visit.basket_id) == (None, "")


def test_a_cookie_signed_with_another_key_counts_for_nothing() -> None:
    response = Response()
    ada = msgspec.convert({"id": "0" * 32, "name": "Ada", "email": "a@b.cd"}, Customer)
    Sessions("another key").welcome(response, ada)
    assert Sessions("key").visit(request_with(response)).customer is None


def test_every_cookie_stays_on_our_site_and_out_of_scripts() -> None:
    response = Response()
    sessions = Sessions("key")
    sessions.give_basket(response, "0" * 32)
    sessions.set_theme(response, "dark")
    kept = [value.decode().lower() for name, value in response.raw_headers if name == b"set-cookie"]
    assert len(kept) == 2
    assert all("httponly" in cookie and "samesite=lax" in cookie for cookie in kept)
