"""What the shop's services decide without anybody's help."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import shop
from hypothesis import given
from hypothesis import strategies as st
from shop.ads.campaign import CAMPAIGN
from shop.catalog.contract import Category
from shop.checkout.contract import Line, OrderPlaced
from shop.currency.service import converted
from shop.emails.service import confirmation, departure
from shop.frontend.buying import new_order, what_is_wrong
from shop.frontend.choosing import way_back
from shop.frontend.sessions import Customer, Sessions
from shop.money import Money, digits
from shop.payment.contract import DECLINED_CARD, GOOD_CARD, Card
from shop.payment.service import passes_luhn, why_declined
from shop.shipping.contract import Address, OrderShipped
from shop.shipping.service import quoted, tracking
from shop.users import passwords
from shop.users.contract import Credentials, NewUser
from starlette.requests import Request
from starlette.responses import Response

PRICE = Money("EUR", 1850)
PARCEL = Money("EUR", 390)
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


# Currency

RATES = {"EUR": Decimal(1), "USD": Decimal("1.1573"), "JPY": Decimal("180.94"), "TND": Decimal("3.4")}
CURRENCIES = st.sampled_from(sorted(RATES))


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (Money("EUR", 1800), "USD", Money("USD", 2083)),  # 20.8314
        (Money("EUR", 1800), "JPY", Money("JPY", 3257)),  # 3256.92
        (Money("EUR", 1800), "TND", Money("TND", 61200)),
        (Money("JPY", 3257), "EUR", Money("EUR", 1800)),
        (Money("EUR", 0), "JPY", Money("JPY", 0)),
    ],
)
def test_an_amount_is_converted_with_the_digits_of_both_currencies(
    amount: Money, currency: str, expected: Money
) -> None:
    assert converted(amount, currency, RATES) == expected


@pytest.mark.parametrize(("minor", "rounded"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2)])
def test_exact_halves_are_rounded_to_even(minor: int, rounded: int) -> None:
    assert converted(Money("XAA", minor), "XBB", {"XAA": Decimal(2), "XBB": Decimal(1)}) == Money("XBB", rounded)


@given(st.integers(-(10**15), 10**15), CURRENCIES, CURRENCIES)
def test_no_amount_is_further_from_the_truth_than_half_of_the_smallest_unit(
    minor: int, first: str, second: str
) -> None:
    there = converted(Money(first, minor), second, RATES)
    exact = Decimal(minor).scaleb(-digits(first)) / RATES[first] * RATES[second]
    assert there.currency == second
    assert abs(Decimal(there.minor).scaleb(-digits(second)) - exact) <= Decimal("0.5000001").scaleb(-digits(second))


@given(st.integers(-(10**15), 10**15), CURRENCIES)
def test_an_amount_stays_what_it_is_in_its_own_currency(minor: int, currency: str) -> None:
    assert converted(Money(currency, minor), currency, RATES) == Money(currency, minor)


# Shipping


@pytest.mark.parametrize(("things", "cost"), [(1, 390), (2, 430), (10, 750), (23, 1270), (24, 1290), (4950, 1290)])
def test_a_parcel_costs_more_for_each_thing_up_to_the_most_that_any_costs(things: int, cost: int) -> None:
    assert quoted(things).cost == Money("EUR", cost)


def test_the_number_of_a_parcel_follows_from_its_order() -> None:
    assert tracking("0123456789abcdef" * 2) == tracking("0123456789abcdef" * 2) == "SP-0123-4567-89AB"


# Ads


def test_every_ad_leads_from_its_category_to_a_thing_of_another() -> None:
    collection = (Path(shop.__file__).parent / "catalog" / "migrations" / "0002_collection.sql").read_text()
    rows = [line.split("', '")[:3] for line in collection.splitlines() if line.startswith("('")]
    category_of = {row[0].strip("('"): row[2].partition("'")[0] for row in rows}
    assert CAMPAIGN.keys() == set(Category)
    for category, ads in CAMPAIGN.items():
        assert ads
        assert all(category_of[ad.product_id] != category for ad in ads)


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
    event = OrderPlaced("a" * 32, "ada@example.org", "Ada", [Line("mug", "Mug", 2, PRICE)], PARCEL, Money("EUR", 4090))
    mail = confirmation(event)
    assert bytes(mail) == bytes(confirmation(event))
    assert mail["To"] == "ada@example.org"
    assert mail["Message-ID"] == f"<{'a' * 32}@sandpiper.example>"
    assert "2 x Mug, € 37.00" in mail.get_content()
    assert "Paid: € 40.90" in mail.get_content()


def test_a_parcel_that_has_left_is_told_of_with_its_number_and_not_as_the_same_mail() -> None:
    event = OrderShipped("a" * 32, "SP-1", "ada@example.org", Address("Ada", "Kade 7", "Hoorn", "Holland"))
    mail = departure(event)
    assert bytes(mail) == bytes(departure(event))
    assert mail["Message-ID"] == f"<{'a' * 32}.shipped@sandpiper.example>"
    assert "number SP-1" in mail.get_content()


def test_a_name_cannot_smuggle_headers_into_a_mail() -> None:
    event = OrderPlaced("a" * 32, "ada@example.org", "Ada\r\nBcc: all@example.org", [], PARCEL, PRICE)
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


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("http://127.0.0.1:8080/find?q=tea", "/find?q=tea"),
        ("", "/"),
        ("/currency", "/"),
        ("//evil.example", "/"),
        ("http://shop//evil.example", "/evil.example"),
        ("http://shop/\\evil.example", "/evil.example"),
        ("javascript:alert(1)", "/alert(1)"),
        ("http://[", "/"),
    ],
)
def test_the_way_back_never_leads_to_another_site(address: str, path: str) -> None:
    assert way_back(address) == path


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


@pytest.mark.parametrize(("chosen", "kept"), [("USD", "USD"), ("usd", "EUR"), ("", "EUR"), ("ÄÖÜ", "EUR")])
def test_a_currency_is_remembered_if_it_can_be_one(chosen: str, kept: str) -> None:
    response = Response()
    Sessions("key").set_currency(response, chosen)
    assert Sessions("key").visit(request_with(response)).currency == kept


def test_every_cookie_stays_on_our_site_and_out_of_scripts() -> None:
    response = Response()
    sessions = Sessions("key")
    sessions.give_basket(response, "0" * 32)
    sessions.set_theme(response, "dark")
    sessions.set_currency(response, "USD")
    kept = [value.decode().lower() for name, value in response.raw_headers if name == b"set-cookie"]
    assert len(kept) == 3
    assert all("httponly" in cookie and "samesite=lax" in cookie for cookie in kept)
