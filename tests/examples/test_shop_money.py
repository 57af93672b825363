import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop.money import Money, total

EUROS = st.integers(-(10**12), 10**12).map(lambda minor: Money("EUR", minor))


@pytest.mark.parametrize(
    ("money", "shown"),
    [
        (Money("EUR", 1850), "€ 18.50"),
        (Money("EUR", 5), "€ 0.05"),
        (Money("EUR", -1850), "-€ 18.50"),
        (Money("EUR", 123456789), "€ 1,234,567.89"),
        (Money("JPY", 1500), "¥ 1,500"),
        (Money("TND", 1500), "TND 1.500"),
        (Money("CHF", 100), "CHF 1.00"),
    ],
)
def test_an_amount_is_shown_with_the_digits_of_its_currency(money: Money, shown: str) -> None:
    assert str(money) == shown


@given(st.lists(EUROS))
def test_a_total_is_exact_whatever_the_order(amounts: list[Money]) -> None:
    assert total(amounts) == total(reversed(amounts)) == Money("EUR", sum(amount.minor for amount in amounts))


@given(EUROS, st.integers(0, 99))
def test_so_many_of_a_thing_cost_as_much_as_one_after_the_other(price: Money, quantity: int) -> None:
    assert price * quantity == total([price] * quantity)


def test_different_currencies_are_never_added_up() -> None:
    with pytest.raises(ValueError, match="different currencies"):
        total([Money("EUR", 1), Money("JPY", 1)])
