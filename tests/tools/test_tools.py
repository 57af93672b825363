"""One checkout of the boutique in Jaeger, Zipkin and OpenSearch, by the commands of their how-to pages."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import pytest_asyncio
from shop.browser import Browser
from shop.payment.contract import GOOD_CARD

from atoll.testing import Running, running
from tests.conftest import CI
from tests.ports import free_port
from tests.system.runs import ask
from tests.tools.hops import ONE_CHECKOUT, Hop, mails
from tests.tools.programs import OPENSEARCH, ZIPKIN, cache_folder, jaeger, jars
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
ADDRESS = {
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "street": "Kade 7",
    "city": "Hoorn",
    "country": "Holland",
}

pytestmark = [
    pytest.mark.needs_program("java", "javac", "curl"),
    # The first of them waits for three programs, two of them of Java's, and for the boutique.
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]


@dataclass(frozen=True)
class Tools:
    """What runs beside the boutique. ports: that stand in for those of the pages."""

    shop: Running
    order: str
    ports: Mapping[str, int]

    def typed(self, page: str, **words: str) -> Any:
        """The answer to the last command of a page."""
        command = commands(page)[-1]
        for known, port in self.ports.items():
            command = command.replace(f"127.0.0.1:{known}/", f"127.0.0.1:{port}/")
        for word, value in words.items():
            command = command.replace(word, value)
        ended = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
        return json.loads(ended.stdout) if ended.returncode == 0 else None


def commands(page: str) -> list[str]:
    lines = (ROOT / "docs" / "how-to" / page).read_text().splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


def absent(what: str) -> NoReturn:
    (pytest.fail if CI else pytest.skip)(f"needs {what}")


def brought(path: Path) -> Path:
    if not path.exists():
        absent("what make test-tools brings")
    return path


@contextmanager
def started(command: list[str], log: Path, **variables: str) -> Iterator[None]:
    """A program while the block lasts."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=log.parent, stdout=output, stderr=output, env={**os.environ, **variables}
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_jaeger(stack: ExitStack, folder: Path, ports: Mapping[str, int]) -> None:
    program, *options = shlex.split(commands("jaeger.md")[0].replace(":4318", f":{ports['4318']}"))
    query = ["--query.http-server.host-port", f"127.0.0.1:{ports['16686']}"]
    # Its other doors, which nobody uses here.
    options += [*query, "--query.grpc-server.host-port=127.0.0.1:0", "--admin.http.host-port=127.0.0.1:0"]
    options += [f"--collector.{each}.host-port=127.0.0.1:0" for each in ("otlp.grpc", "http-server", "grpc-server")]
    options += [f"--processor.{each}.server-host-port=127.0.0.1:0" for each in ("jaeger-binary", "jaeger-compact")]
    options += ["--processor.zipkin-compact.server-host-port=127.0.0.1:0", "--http-server.host-port=127.0.0.1:0"]
    at = str(brought(jaeger(cache_folder())).with_name(program))
    stack.enter_context(started([at, *options], folder / "jaeger.log"))


def start_zipkin(stack: ExitStack, folder: Path, ports: Mapping[str, int]) -> None:
    *words, jar = shlex.split(commands("zipkin.md")[0])
    at = str(brought(jars(ZIPKIN, cache_folder())) / jar)
    log = folder / "zipkin.log"
    stack.enter_context(started([*words, at], log, QUERY_PORT=str(ports["9411"]), JAVA_TOOL_OPTIONS="-Xmx256m"))


def start_opensearch(stack: ExitStack, folder: Path, ports: Mapping[str, int]) -> None:
    classes = f"{brought(jars(OPENSEARCH, cache_folder()))}/*"
    command = ["java", "-Xmx512m", "-cp", classes, str(OPENSEARCH.folder / "Search.java")]
    log = folder / "opensearch.log"
    stack.enter_context(started([*command, str(folder / "opensearch"), str(ports["9200"])], log))


async def answers(url: str, log: Path) -> None:
    def why() -> str:
        return log.read_text(errors="replace")[-3000:]

    await eventually(lambda: ask(url)[0] == 200, f"{url} answers", within=90, why=why)


async def order(url: str) -> str:
    """Buy two mugs; the number of the basket."""
    async with Browser(url, 10.0, lambda _: None) as browser:
        await browser.post("/basket", {"product_id": "tidepool-mug", "quantity": "2"})
        basket = re.search(r'name="basket_id" value="(\w+)"', (await browser.get("/checkout")).text)
        assert basket is not None
        page = await browser.post("/checkout", {"basket_id": basket[1], **ADDRESS, "card": GOOD_CARD})
        assert "Thank you" in page.text
    return basket[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tools(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tools]:
    """The boutique, which forwards to all three, with one order that was paid."""
    folder = tmp_path_factory.mktemp("tools")
    ports = {port: free_port() for port in ("4318", "16686", "9411", "9200")}
    at = {port: f"http://127.0.0.1:{number}" for port, number in ports.items()}
    with ExitStack() as stack:
        for start in (start_jaeger, start_zipkin, start_opensearch):
            start(stack, folder, ports)
        await answers(f"{at['16686']}/api/services", folder / "jaeger.log")
        await answers(f"{at['9411']}/health", folder / "zipkin.log")
        await answers(at["9200"], folder / "opensearch.log")
        ignored = shutil.ignore_patterns(".atoll", "__pycache__")
        project = Path(shutil.copytree(ROOT / "examples" / "shop", folder / "shop", ignore=ignored))
        local = project / "shop" / "environments" / "local.toml"
        local.parent.mkdir(exist_ok=True)
        known = local.read_text() if local.exists() else ""
        forward = {"jaeger": at["4318"], "zipkin": at["9411"], "opensearch": at["9200"]}
        local.write_text(known + "\n[forward]\n" + "".join(f'{name} = "{url}"\n' for name, url in forward.items()))
        variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        async with running("shop.system:shop", project, variables=variables) as shop:
            yield Tools(shop, await order(shop.url), ports)


def jaeger_hops(answer: Any) -> list[list[Hop]]:
    """Of each trace."""

    def hop(span: Any, processes: Any) -> Hop:
        tags = {each["key"]: each["value"] for each in span["tags"]}
        parent = next((each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"), "")
        return Hop(span["spanID"], parent, processes[span["processID"]]["serviceName"], tags.get("span.kind", ""))

    traces = answer["data"] if answer else []
    return [[hop(span, trace["processes"]) for span in trace["spans"]] for trace in traces]


def zipkin_hops(answer: Any) -> list[list[Hop]]:
    """Of each trace."""
    return [
        [
            Hop(
                each["id"], each.get("parentId", ""), each["localEndpoint"]["serviceName"], each.get("kind", "").lower()
            )
            for each in trace
        ]
        for trace in answer or []
    ]


@pytest.mark.parametrize(("page", "read"), [("jaeger.md", jaeger_hops), ("zipkin.md", zipkin_hops)])
async def test_one_checkout_is_one_trace_from_envoy_to_both_mails(
    tools: Tools, page: str, read: Callable[[Any], list[list[Hop]]]
) -> None:
    found: list[list[list[str]]] = []

    def is_whole() -> bool:
        found[:] = [path for hops in read(tools.typed(page)) if (path := mails(hops))]
        return any(each in found for each in ONE_CHECKOUT)

    await eventually(is_whole, "both mails are in the trace of the checkout", why=lambda: str(found))
    assert len(found) == 1


async def test_a_log_line_is_found_by_its_trace(tools: Tools) -> None:
    # Given the checkout, as the collector has it: spans are stored a moment after they end
    traces: set[str] = set()

    def is_stored() -> bool:
        traces.update(trace.id for trace in tools.shop.traces(100) if "email" in trace.services)
        return bool(traces)

    await eventually(is_stored, "the trace of the checkout is stored")
    (trace,) = traces
    lines: list[dict[str, Any]] = []

    def of_order() -> list[dict[str, Any]]:
        return [each for each in lines if each.get("labels.order") == tools.order]

    def is_found() -> bool:
        answer = tools.typed("opensearch.md", TRACE=trace)
        lines[:] = [each["_source"] for each in answer["hits"]["hits"]] if answer else []
        return bool(of_order())

    await eventually(is_found, "the line that names the order is found", why=lambda: str(lines))
    # Then it is there by its trace, under the names of ECS; twice at the most, if its batch got no answer in time
    assert {each["service.name"] for each in of_order()} == {"payment"}
    assert {each["trace.id"] for each in lines} == traces
    assert all(each.keys() >= {"@timestamp", "message", "log.level", "service.name", "span.id"} for each in lines)
