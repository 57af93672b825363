"""What the documentation gives to copy."""

import re
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).parents[1] / "docs"


def documented_roles() -> list[dict[str, Any]]:
    """The Roles that docs/how-to/deploy.md asks for."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / "how-to" / "deploy.md").read_text(), re.MULTILINE | re.DOTALL)
    found = [yaml.safe_load(each) for each in blocks]
    return [each for each in found if each.get("kind") == "Role"]
