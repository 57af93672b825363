"""A program that reads a secret from its environment, on one machine."""

from pathlib import Path

from tests.system.runs import Run, ask, atoll, written

SYSTEM = """
from atoll import Asgi, Gateway, Process, Secret, System

key = {"STRIPE_KEY": Secret("stripe-key"), "MODE": "fast"}
paid = Process("paid", ["python3", "paid.py"], path="/paid", environment=key)
page = Asgi("page", "page:application", path="/page", environment=key)
shop = System("shop", services=[paid, page], gateway=Gateway(expose=[paid, page]))
"""
PROGRAM = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Paid(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{os.environ['MODE']} {os.environ['STRIPE_KEY'][-3:]}".encode())


ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Paid).serve_forever()
"""
APPLICATION = """
import os


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = f"{os.environ['MODE']} {os.environ['STRIPE_KEY'][-3:]}".encode()
    await send({"type": "http.response.body", "body": body})
"""


def test_a_program_and_an_application_get_what_is_theirs_alone_from_the_file_of_the_machine(tmp_path: Path) -> None:
    for name, content in (("system.py", SYSTEM), ("paid.py", PROGRAM), ("page.py", APPLICATION)):
        (tmp_path / name).write_text(content)
    # Given no value, it is named, with where to put it
    refused = atoll(tmp_path, "check", "system:shop")
    assert refused.returncode == 1
    assert "ATL2207  paid: the secret 'stripe-key' has no value here." in refused.stdout + refused.stderr
    # When there is one
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "local.toml").write_text('[secrets]\nstripe-key = "sk_live_xyz"\n')
    assert atoll(tmp_path, "check", "system:shop").returncode == 0
    with Run(tmp_path, target="system:shop").ready() as run:
        # Then both have it
        assert ask(f"{run.url}/paid") == (200, "fast xyz")
        assert ask(f"{run.url}/page") == (200, "fast xyz")
        # And of all that is written it is in its own file alone
        state = Path(run.status["state"])
        holding = [path for path, content in written(state) if b"sk_live_xyz" in content]
        assert [path.relative_to(state).as_posix() for path in holding] == ["secrets/user-stripe-key"]
        assert not run.said("sk_live_xyz")
