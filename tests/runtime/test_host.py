"""A service process, as the supervisor starts it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import textwrap
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec
import pytest

from atoll.model.launch import CallTo, Launch, Telemetry
from atoll.model.references import FromFile, Literal
from tests.collector.running import collecting
from tests.runtime.raw import Peer, request

HELLO = """
import asyncio
import msgspec
from pathlib import Path
from typing import Protocol
from atoll import Secret, get

class Settings(msgspec.Struct):
    greeting: str
    key: Secret
    folder: str

class Names(Protocol):
    @get("/names/{name}")
    async def polite(self, name: str) -> str: ...

class Hello:
    def __init__(self, settings: Settings, names: Names | None = None) -> None:
        self._settings = settings

    async def __aenter__(self):
        (Path(self._settings.folder) / "said").write_text("entered\\n")
        return self

    async def __aexit__(self, *_):
        with (Path(self._settings.folder) / "said").open("a") as said:
            said.write("left\\n")

    @get("/hello/{name}")
    async def hello(self, name: str) -> str:
        return f"{self._settings.greeting}, {name}"

    @get("/key")
    async def key(self) -> str:
        return self._settings.key.reveal()

    @get("/slow")
    async def slow(self) -> str:
        await asyncio.sleep(1.5)
        return "done"

class Porter:
    def __init__(self, hello: Hello) -> None:
        self._hello = hello

    @get("/knock/{name}")
    async def knock(self, name: str) -> str:
        return "inside: " + await self._hello.hello(name)

class Broken:
    def __init__(self) -> None:
        raise LookupError("no cellar")

    @get("/x")
    async def x(self) -> None: ...
"""


def read(line: bytes) -> dict[str, object]:
    """A log line; what is none becomes one."""
    try:
        found = json.loads(line)
        assert isinstance(found, dict)
    except ValueError:
        return {"logger": "", "message": line.decode()}
    return found


class Running:
    """A process and what it printed. address, admin: once it is ready."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, object]] = []
        self.address = self.admin = ""

    async def line(self, logger: str) -> dict[str, object]:
        """The next log line of that logger."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while True:
                text = await self.process.stderr.readline()
                assert text, f"the process ended: {self.lines}"
                self.lines.append(read(text))
                if self.lines[-1]["logger"] == logger:
                    return self.lines[-1]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Its exit status, when it has ended."""
        async with asyncio.timeout(20):
            assert self.process.stderr is not None
            self.lines += [read(line) for line in (await self.process.stderr.read()).splitlines()]
            return await self.process.wait()


def launch_of(folder: Path, **changes: object) -> Launch:
    (folder / "greeting.py").write_text(textwrap.dedent(HELLO))
    (folder / "key").write_text("s3cret\n")
    launch = Launch(
        system="test",
        service="hello",
        replica="hello-1",
        kind="service",
        target="greeting:Hello",
        import_path=(str(folder),),
        settings=msgspec.Raw(json.dumps({"greeting": "Hi", "folder": str(folder)}).encode()),
        secrets={"key": FromFile(str(folder / "key"))},
        grace=5.0,
    )
    return msgspec.structs.replace(launch, **changes)


async def start(folder: Path, launch: Launch, variables: Mapping[str, str] | None = None) -> Running:
    document = folder / f"{launch.replica}.json"
    document.write_bytes(msgspec.json.encode(launch))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atoll.runtime", str(document)),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, **(variables or {})},
    )
    return Running(process)


@contextlib.asynccontextmanager
async def running(folder: Path, launch: Launch, variables: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """The process, ready; killed at the end where the test has not ended it."""
    this = await start(folder, launch, variables)
    try:
        ready = await this.line("atoll.host")
        this.address = str(ready["address"])
        this.admin = str(ready["admin"])
        yield this
    finally:
        if this.process.returncode is None:
            this.process.kill()
            await this.process.wait()


async def ask(address: str, target: str, **headers: str) -> tuple[int, object]:
    async with await Peer.connect(address) as peer:
        answer = await peer.ask("GET", target, **headers)
        return answer.status, json.loads(answer.body) if answer.body[:1] in b'{"' else answer.body.decode()


async def test_a_service_is_made_of_its_launch_document_and_ended_by_sigterm(tmp_path: Path) -> None:
    async with running(tmp_path, launch_of(tmp_path)) as hello:
        assert await ask(hello.address, "/hello/ada") == (200, "Hi, ada")
        assert await ask(hello.address, "/key") == (200, "s3cret")
        assert (tmp_path / "said").read_text() == "entered\n"
        assert await ask(hello.admin, "/health/live") == (200, {"alive": True})
        assert await ask(hello.admin, "/health/ready") == (200, {"ready": True, "reasons": {}})
        status, page = await ask(hello.admin, "/metrics")
        assert (status, "http_server_request_duration_seconds_bucket" in str(page)) == (200, True)
        assert await hello.end() == 0
    assert (tmp_path / "said").read_text() == "entered\nleft\n"
    assert all(line["service"] == "hello" and line["replica"] == "hello-1" for line in hello.lines)


async def test_one_service_calls_another_in_one_trace(tmp_path: Path) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with collecting(tmp_path) as collector:
        telemetry = Telemetry(f"http://{collector.document.listen}")
        async with running(tmp_path, launch_of(tmp_path, telemetry=telemetry)) as hello:
            call = CallTo("hello", "greeting:Hello", "hello", (f"http://{hello.address}",))
            porter_launch = launch_of(
                tmp_path,
                target="greeting:Porter",
                service="porter",
                replica="porter-1",
                calls=(call,),
                telemetry=telemetry,
            )
            async with running(tmp_path, porter_launch) as porter:
                parent = f"00-{trace}-b7ad6b7169203331-01"
                assert await ask(porter.address, "/knock/ada", traceparent=parent) == (200, "inside: Hi, ada")
                assert await porter.end() == 0
            assert await hello.end() == 0
        # What waited was sent before they ended.
        found = collector.query.trace(trace)
    hops = [(depth, span.service, span.kind) for root in found.roots for depth, span in root.walk()]
    assert hops == [(0, "porter", "server"), (1, "porter", "client"), (2, "hello", "server")]
    knock, call_out, answered = found.spans
    assert knock.parent == "b7ad6b7169203331"
    assert knock.start <= call_out.start <= answered.start <= answered.end <= knock.end
    assert (answered.replica, answered.attributes["http.response.status_code"]) == ("hello-1", 200)


async def test_a_service_serves_and_ends_in_time_though_nobody_takes_its_telemetry(tmp_path: Path) -> None:
    with socket.socket() as deaf:
        # Given a collector that accepts connections and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        telemetry = Telemetry(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        async with running(tmp_path, launch_of(tmp_path, telemetry=telemetry)) as hello:
            assert await ask(hello.address, "/hello/ada") == (200, "Hi, ada")
            began = asyncio.get_running_loop().time()
            assert await hello.end() == 0
            assert asyncio.get_running_loop().time() - began < 4.0


async def test_opentelemetrys_own_variables_send_lines_and_spans_elsewhere(tmp_path: Path) -> None:
    with collecting(tmp_path) as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.document.listen}"}
        async with running(tmp_path, launch_of(tmp_path), variables) as hello:
            assert await ask(hello.address, "/hello/ada") == (200, "Hi, ada")
            assert await hello.end() == 0
        assert [each.name for each in collector.query.traces()] == ["GET /hello/{name}"]
        said = collector.query.logs()
        assert said[0].body.startswith("hello-1 serves at")
        assert (said[0].service, said[0].severity, said[0].attributes["logger"]) == ("hello", "info", "atoll.host")


async def test_sigterm_under_load_fails_no_request_and_waits_for_the_slow(tmp_path: Path) -> None:
    # Times in which a busy machine lets this process ask: while balancers may notice, and while the slow still works.
    async with running(tmp_path, launch_of(tmp_path, balancer_wait=0.5)) as hello:
        async with (
            await Peer.connect(hello.address) as slow,
            await Peer.connect(hello.address) as busy,
            await Peer.connect(hello.admin) as admin,
        ):
            await slow.send(request("GET", "/slow"))
            assert (await busy.ask("GET", "/hello/x")).status == 200
            hello.process.terminate()
            answers, ready = [], []
            while True:  # as if nothing had happened, until told that the connection ends
                answers.append(await busy.ask("GET", "/hello/x"))
                if answers[-1].headers.get("connection") == "close":
                    break
                ready.append(await admin.ask("GET", "/health/ready"))
            assert ready[-1].status == 503
            assert json.loads(ready[-1].body) == {"ready": False, "reasons": {"process": "stopping"}}
            assert (await slow.answer()).body == b'"done"'
        assert {answer.status for answer in answers} == {200}
        assert await hello.ended() == 0


async def test_an_asgi_application_is_a_service_with_its_clients_injected(tmp_path: Path) -> None:
    (tmp_path / "stock.py").write_text(
        "from tests.runtime.asgi_applications import Stock\n"
        "class Warehouse(Stock):\n    async def stock(self, sku: str) -> int:\n        return len(sku)\n"
    )
    root = str(Path(__file__).parents[2])
    warehouse_launch = launch_of(
        tmp_path,
        service="warehouse",
        replica="warehouse-1",
        target="stock:Warehouse",
        import_path=(str(tmp_path), root),
    )
    async with running(tmp_path, warehouse_launch) as warehouse:
        call = CallTo("stock", "tests.runtime.asgi_applications:Stock", "warehouse", (f"http://{warehouse.address}",))
        target = "tests.runtime.asgi_applications:create"
        asgi_launch = launch_of(
            tmp_path,
            service="shop",
            replica="shop-1",
            kind="asgi",
            target=target,
            calls=(call,),
            import_path=(root,),
        )
        async with running(tmp_path, asgi_launch) as shop:
            assert await ask(shop.address, "/shop/four") == (200, {"left": 4})
            assert await ask(shop.admin, "/health/ready") == (200, {"ready": True, "reasons": {}})
            assert await shop.end() == 0
        assert await warehouse.end() == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": "greeting:Broken"}, "LookupError: no cellar"),
        ({"target": "greeting:Hallo"}, "has no 'Hallo'"),
        ({"target": "nowhere:Hello"}, "No module named 'nowhere'"),
        ({"secrets": {"key": FromFile("/nowhere")}}, "/nowhere"),
        ({"settings": msgspec.Raw(b'{"greeting": 1}')}, "greeting"),
    ],
)
async def test_what_keeps_it_from_starting_is_said_and_the_status_is_1(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    this = await start(tmp_path, launch_of(tmp_path, **change))
    assert this.process.stderr is not None
    async with asyncio.timeout(20):
        said = (await this.process.stderr.read()).decode()
        assert await this.process.wait() == 1
    assert told in said
    assert "ATL" in said


async def test_it_starts_without_the_drivers_that_it_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(
        "import sys\nfrom atoll import get\n"
        "class Plain:\n    @get('/modules')\n"
        "    async def modules(self) -> list[str]:\n        return sorted(sys.modules)\n"
    )
    async with running(tmp_path, launch_of(tmp_path, target="plain:Plain", settings=msgspec.Raw(b"null"))) as plain:
        async with await Peer.connect(plain.address) as peer:
            modules = json.loads((await peer.ask("GET", "/modules")).body)
        assert await plain.end() == 0
    assert not {"asyncpg", "nats", "uvicorn", "starlette", "pydantic"} & set(modules)


async def test_a_literal_value_needs_no_file(tmp_path: Path) -> None:
    secrets = {"key": Literal("plain")}
    async with running(tmp_path, launch_of(tmp_path, secrets=secrets)) as hello:
        assert await ask(hello.address, "/key") == (200, "plain")
        assert await hello.end(signal.SIGINT) == 0
