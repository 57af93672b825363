"""Names that someone may have meant."""

from atoll.model.suggest import nearest


def test_the_most_similar_stands_first() -> None:
    assert nearest("paymint", ["cart", "payment", "ads"]) == ("payment", "ads", "cart")


def test_that_there_are_more_is_told() -> None:
    assert nearest("x", "abcde") == ("a", "b", "c", "d", "e")
    assert nearest("x", "abcdefg") == ("a", "b", "c", "d", "e", "and 2 more")
