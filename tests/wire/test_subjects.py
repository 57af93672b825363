"""How streams, subjects and consumers are called in NATS."""

from hypothesis import given
from hypothesis import strategies as st

from atoll.wire import subjects

label = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
identifier = st.from_regex(r"[a-z_][a-z0-9_]{0,10}", fullmatch=True)


@given(label, identifier, label, identifier)
def test_two_handlers_never_share_a_durable(service: str, method: str, other: str, other_method: str) -> None:
    same = subjects.durable(service, method) == subjects.durable(other, other_method)
    assert same == ((service, method) == (other, other_method))


def test_a_service_may_publish_its_topics_and_the_dead_letters_of_its_consumers() -> None:
    assert subjects.publishable("shop", ["order-placed"], [("payment-settled", "checkout-settle")]) == (
        "evt.shop.order-placed",
        "dead.shop.payment-settled.checkout-settle",
    )


def test_a_redriven_event_is_in_the_topics_own_stream_and_for_one_consumer() -> None:
    assert subjects.stream_subjects("shop", "order-placed") == ("evt.shop.order-placed", "redrive.shop.order-placed.*")
    assert subjects.redrive_subject("shop", "order-placed", "email-send") == "redrive.shop.order-placed.email-send"
