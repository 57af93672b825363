import pytest
from shop.customers import Confirmed
from shop.demo import Audit, why_wrong
from shop.money import Money

ORDER = Confirmed("a", Money("EUR", 1850))


def audit(status: str = "confirmed", total: int = 1850, charged: int = 1850, charges: int = 1, mails: int = 1) -> Audit:
    return Audit("a", status, total, charged, charges, mails)


def test_an_order_that_is_paid_and_mailed_once_is_as_promised() -> None:
    assert why_wrong(ORDER, audit()) == ""


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (audit(status="pending"), "is pending"),
        (audit(charges=0, charged=0), "was paid 0 times"),
        (audit(charges=2, charged=3700), "was paid 2 times"),
        (audit(charged=1900), "charged 1900"),
        (audit(total=1900), "stored 1900"),
        (audit(mails=0), "was mailed 0 times"),
        (audit(mails=2), "was mailed 2 times"),
    ],
)
def test_whatever_is_not_as_promised_is_said(found: Audit, why: str) -> None:
    assert why in why_wrong(ORDER, found)
