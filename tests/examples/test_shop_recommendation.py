import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "shop" / "shop" / "recommendation"


@pytest.mark.needs_program("node")
def test_the_rules_of_recommendation_hold_in_their_own_language() -> None:
    result = subprocess.run(["node", "--test"], cwd=FOLDER, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "pass 3" in result.stdout


@pytest.mark.needs_program("node")
def test_it_says_what_is_missing_when_it_is_not_told_where_the_catalog_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATALOG_URL", raising=False)
    result = subprocess.run(["node", "server.js"], cwd=FOLDER, capture_output=True, timeout=30, check=False)
    assert result.returncode == 1
    assert b"CATALOG_URL is not set" in result.stdout
