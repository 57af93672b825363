import pytest
from shop.customers import Confirmed
from shop.demo import Audit, why_wrong
from shop.emails.contract import Kind
from shop.money import Money

PAID = Money("EUR", 1850)
ORDER = Confirmed("a", PAID)


def audit(
    status: str = "confirmed",
    total: Money = PAID,
    charges: tuple[Money, ...] = (PAID,),
    shipments: tuple[str, ...] = ("SP-1",),
    mails: tuple[Kind, ...] = (Kind.CONFIRMED, Kind.SHIPPED),
) -> Audit:
    return Audit("a", status, total, list(charges), list(shipments), list(mails))


def test_an_order_that_is_paid_and_sent_once_and_told_of_once_each_is_as_promised() -> None:
    assert why_wrong(ORDER, audit()) == ""
    assert why_wrong(ORDER, audit(mails=(Kind.SHIPPED, Kind.CONFIRMED))) == ""


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (audit(status="pending"), "is pending"),
        (audit(charges=()), "was paid 0 times"),
        (audit(charges=(PAID, PAID)), "was paid 2 times"),
        (audit(charges=(Money("EUR", 1900),)), "charged € 19.00"),
        (audit(charges=(Money("USD", 1850),)), "charged $ 18.50"),
        (audit(total=Money("EUR", 1900)), "stored € 19.00"),
        (audit(shipments=()), "was sent 0 times"),
        (audit(shipments=("SP-1", "SP-1")), "was sent 2 times"),
        (audit(mails=(Kind.SHIPPED,)), "told 0 times that order a is confirmed"),
        (audit(mails=(Kind.CONFIRMED,)), "told 0 times that order a is shipped"),
        (audit(mails=(Kind.CONFIRMED, Kind.SHIPPED, Kind.SHIPPED)), "told 2 times that order a is shipped"),
    ],
)
def test_whatever_is_not_as_promised_is_said(found: Audit, why: str) -> None:
    assert why in why_wrong(ORDER, found)
