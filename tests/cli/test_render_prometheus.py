"""`atoll render prometheus` for the boutique, judged by the tools of Prometheus."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import atoll

SHOP = Path(__file__).parents[2] / "examples" / "shop"


@pytest.mark.needs_program("promtool", "amtool")
def test_rules_their_tests_and_the_routing_are_valid_and_the_same_each_time(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    def judged(tool: str, *arguments: str) -> str:
        command = [program(tool), *arguments]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    rendered = atoll(SHOP, "render", "prometheus", "--output", str(tmp_path))
    assert rendered.returncode == 0, rendered.stderr
    files = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert set(files) == {"rules.yml", "rules.test.yml", "alertmanager.yml", "scrape.yml"}
    judged("promtool", "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")
    judged("promtool", "test", "rules", "rules.test.yml")
    # Debian builds Prometheus without Kubernetes: what finds the pods is left out, what is made of them is judged.
    lines = files["scrape.yml"].splitlines()
    kept = [line for line in lines if not line.startswith(("    kubernetes_sd_configs", "      - role", "        "))]
    assert "      - role: pod" in lines
    relabelling = files["scrape.yml"].partition("    relabel_configs:")[2]
    (tmp_path / "relabelling.yml").write_text("\n".join(kept[: kept.index("    relabel_configs:") + 1]) + relabelling)
    judged("promtool", "check", "config", "relabelling.yml")
    (tmp_path / "relabelling.yml").unlink()
    assert "2 receivers" in judged("amtool", "check-config", "alertmanager.yml")
    again = tmp_path / "again"
    assert atoll(SHOP, "render", "prometheus", "--output", str(again)).returncode == 0
    assert {file.name: file.read_text() for file in again.iterdir()} == files
