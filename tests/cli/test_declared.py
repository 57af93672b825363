"""What commands for clusters say of an environment: everything at once, each with its place."""

import json
import os
import subprocess
import sys
from pathlib import Path

SYSTEM = """\
from atoll import Process, System

shop = System("shop", services=[Process("web", ["node", "web.js"], directory="..", port=9000)])
"""
WRONG = """\
[cluster]
namespace = "default"

[gatway]
replicas = 1

[images]
registry = "https://registry.example.com"
python = 3.13

[services.web]
replicas = 0
"""


def test_mistakes_of_every_kind_are_told_in_one_round_each_with_its_line(tmp_path: Path) -> None:
    # Given a project whose system is in a folder of it, and an environment with a misspelt name and much else
    (tmp_path / "pyproject.toml").write_text('[tool.atoll]\nsystem = "shop.system:shop"\n')
    (tmp_path / "web.js").touch()
    folder = tmp_path / "shop" / "environments"
    folder.mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "system.py").write_text(SYSTEM)
    (folder / "w1.toml").write_text(WRONG)
    # When it is rendered
    command = [sys.executable, "-m", "atoll.cli.main", "render", "kubernetes", "-e", "w1"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=40, check=False
    )
    # Then all of it is told, by the path from the project
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    told = {
        line.split()[1]: lines[number + 1].split()[1] for number, line in enumerate(lines) if line.startswith("ATL5001")
    }
    assert told == {
        "gatway": "shop/environments/w1.toml:4",
        "images.python": "shop/environments/w1.toml:9",
        "cluster.namespace": "shop/environments/w1.toml:2",
        "images.registry": "shop/environments/w1.toml:8",
        "services.web.replicas": "shop/environments/w1.toml:12",
    }, json.dumps(lines, indent=1)
