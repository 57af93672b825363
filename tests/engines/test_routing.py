import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.engines.routing import Refusal, Route, ordered, pattern


def paths(*routes: Route) -> list[str]:
    return [each.path for each in ordered(routes) if isinstance(each, Route)]


def refusals(*routes: Route) -> dict[str, tuple[str, ...]]:
    return {each.path: each.allowed for each in ordered(routes) if isinstance(each, Refusal)}


def get(path: str) -> Route:
    return Route(path, "c", ("GET",))


def below(path: str) -> Route:
    return Route(path, "c", prefix=True)


@pytest.mark.parametrize(
    "wanted",
    [
        ["/products/feed", "/products/{id}"],
        ["/a/{x}", "/{y}/b"],
        ["/a/b", "/a/{x}", "/{x}/{y}"],
        ["/{x}", "/{x}/{y}"],
    ],
)
def test_literals_come_before_parameters_from_the_left(wanted: list[str]) -> None:
    assert paths(*(get(path) for path in wanted)) == wanted
    assert paths(*(get(path) for path in reversed(wanted))) == wanted


def test_prefixes_come_last_among_those_they_could_hide_and_longer_ones_first() -> None:
    wanted = ["/admin/users/{id}", "/admin/users", "/admin", "/{slug}", "/"]
    routes = [get(wanted[0]), below(wanted[1]), below(wanted[2]), get(wanted[3]), below(wanted[4])]
    assert paths(*routes) == wanted
    assert paths(*reversed(routes)) == wanted


def test_other_methods_are_refused_after_the_last_route_of_a_path() -> None:
    read, write = Route("/orders", "c", ("GET",)), Route("/orders", "c", ("POST",))
    assert ordered([write, read]) == [read, write, Refusal("/orders", ("GET", "HEAD", "POST"))]


def test_a_refusal_leaves_out_what_a_less_specific_path_answers() -> None:
    routes = [get("/products/feed"), Route("/products/{id}", "c", ("DELETE",))]
    assert refusals(*routes) == {
        "/products/feed": ("DELETE", "GET", "HEAD"),
        "/products/{id}": ("DELETE", "GET", "HEAD"),
    }


def test_a_prefix_refuses_nothing() -> None:
    assert refusals(below("/admin")) == {}


def test_a_parameter_is_one_segment_and_a_literal_is_taken_by_the_letter() -> None:
    found = re.compile(pattern("/a.b/{x}/c"))
    assert found.fullmatch("/a.b/1%20-~/c")
    assert not found.fullmatch("/a.b//c")
    assert not found.fullmatch("/a.b/1/2/c")
    assert not found.fullmatch("/aXb/1/c")


SEGMENT = st.sampled_from(["a", "b", "{x}"])
PATH = st.lists(SEGMENT, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(st.sets(PATH, min_size=1), st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3))
def test_the_first_route_that_matches_is_the_most_specific_of_all_that_do(known: set[str], asked: list[str]) -> None:
    path = "/" + "/".join(asked)
    matching = [each for each in paths(*map(get, known)) if re.fullmatch(pattern(each), path)]
    if matching:
        # A parameter is a "~" that is sorted behind every letter.
        assert matching[0] == min(matching, key=lambda each: each.replace("{x}", "~"))
