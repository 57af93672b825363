"""Where rendered files go."""

from pathlib import Path

import pytest

from atoll.cli.render_kubernetes import write_files

KUSTOMIZATION = "kind: Kustomization\nresources:\n"


def test_the_file_of_a_service_that_is_gone_goes_and_a_file_of_somebody_else_stays(tmp_path: Path) -> None:
    files = {
        "users.yaml": "u",
        "cart.yaml": "c",
        "kustomization.yaml": f"{KUSTOMIZATION}  - users.yaml\n  - cart.yaml\n",
    }
    write_files(files, str(tmp_path))
    (tmp_path / "mine.yaml").write_text("m")
    write_files({"users.yaml": "u", "kustomization.yaml": f"{KUSTOMIZATION}  - users.yaml\n"}, str(tmp_path))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kustomization.yaml", "mine.yaml", "users.yaml"]


def test_what_is_printed_can_be_applied_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    write_files({"users.yaml": "---\nkind: Service\n", "kustomization.yaml": KUSTOMIZATION}, None)
    assert capsys.readouterr().out == "---\nkind: Service\n"
