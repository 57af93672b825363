"""`atoll check`, `graph` and `render` read the declaration, and run nothing."""

import json
from pathlib import Path

from tests.cli.commands import atoll

SAMPLE = Path(__file__).parent.parent / "system" / "sample"
BROKEN = """
from atoll import System, Service, get

class Hello:
    @get("/hello/{name}")
    async def hello(self) -> str:
        return ""

class Other:
    @get("nowhere")
    async def there(self, x) -> str:
        return ""

system = System("broken", services=[Service("hello", Hello), Service("Other", Other)])
"""


def test_a_system_in_order_is_counted(tmp_path: Path) -> None:
    found = atoll(SAMPLE, "check", "sample.system:system")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "sample is in order: 3 members, 4 operations, 1 topic\n"


def test_all_problems_are_said_at_once_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    found = atoll(tmp_path, "check", "broken.py")
    assert found.returncode == 1
    codes = [line.split()[0] for line in found.stderr.splitlines() if line.startswith("ATL")]
    assert {"ATL2002", "ATL2004", "ATL2006", "ATL2014"} <= set(codes)
    assert "broken.py:6" in found.stderr or "broken.py:5" in found.stderr
    listed = json.loads(atoll(tmp_path, "check", "broken.py", "--json").stdout)["problems"]
    assert [problem["code"] for problem in listed] == codes


def test_the_graph_is_a_tree_from_the_gateway_with_the_ways_of_events() -> None:
    found = atoll(SAMPLE, "graph", "sample.system:system")
    assert found.stdout.splitlines() == [
        "sample",
        "├─ gateway",
        "│  ├─ counter (database)",
        "│  ├─ greeter (database)",
        "│  │  └─ counter (database)",
        "│  └─ echo (process)",
        "├─ event counted: counter ⇢ greeter.remember",
    ]
    data = json.loads(atoll(SAMPLE, "graph", "sample.system:system", "--json").stdout)
    assert data["calls"] == [{"from": "greeter", "to": "counter"}]
    assert data["cycles"] == []


def test_the_openapi_document_is_the_same_each_time() -> None:
    first = atoll(SAMPLE, "render", "openapi", "sample.system:system")
    assert first.returncode == 0, first.stderr
    assert first.stdout == atoll(SAMPLE, "render", "openapi", "sample.system:system").stdout
    assert set(json.loads(first.stdout)["paths"]) == {"/counts/{name}", "/hello/{name}", "/heard"}


def test_the_asyncapi_document_is_the_same_each_time() -> None:
    first = atoll(SAMPLE, "render", "asyncapi", "sample.system:system")
    assert first.returncode == 0, first.stderr
    assert first.stdout == atoll(SAMPLE, "render", "asyncapi", "sample.system:system").stdout
    assert set(json.loads(first.stdout)["operations"]) == {"counter.publish.counted", "greeter.remember"}
