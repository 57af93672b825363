import os

import pytest

from atoll.engines import versions
from atoll.engines.versions import Wheel
from atoll.errors import AtollError
from atoll.provision.programs import find_program


@pytest.mark.parametrize("wheel", [versions.POSTGRES, versions.NATS, versions.ENVOY], ids=lambda wheel: wheel.engine)
def test_the_program_of_each_engine_is_found_in_its_wheel(wheel: Wheel) -> None:
    assert os.access(find_program(wheel), os.X_OK)


def test_a_missing_wheel_is_an_error_that_says_how_to_install_it() -> None:
    with pytest.raises(AtollError) as caught:
        find_program(Wheel("Cassandra", "no-such-wheel", (1,), (2,), "bin/cassandra"))
    (problem,) = caught.value.problems
    assert problem.code == "ATL4001"
    assert "no-such-wheel" in problem.sentence
    assert "pip install 'atoll[local]'" in problem.do


def test_a_wheel_without_its_program_is_an_error_that_says_where() -> None:
    wheel = Wheel("NATS", versions.NATS.distribution, (2,), (3,), "no-such-program")
    with pytest.raises(AtollError) as caught:
        find_program(wheel)
    assert "lacks its program" in str(caught.value)
