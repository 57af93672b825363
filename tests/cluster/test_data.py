"""What docs/how-to/data.md says of backups and of passwords, done: its commands, in its order."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.cluster.shop import Shop

pytestmark = pytest.mark.timeout(600)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "data.md"
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)


def told(part: str) -> list[str]:
    """The commands for a cluster in a part of the page."""
    text = PAGE.read_text().partition(f"## {part}\n")[2].partition("\n## ")[0]
    return [each.partition("   #")[0] for each in _COMMAND.findall(text) if "kubectl" in each]


def done(shop: Shop, command: str, folder: Path) -> None:
    kubectl = shop.kubectl
    words = " ".join([str(kubectl.program), f"--kubeconfig={kubectl.kubeconfig}"])
    line = command.replace("kubectl", words)
    subprocess.run(["bash", "-euc", line], cwd=folder, check=True, timeout=120, capture_output=True)


def answer(shop: Shop, sql: str) -> str:
    ask = f"PGPASSWORD=$(cat /run/secrets/postgres/password) psql -h 127.0.0.1 -U postgres -At -c '{sql}' checkout"
    return shop.kubectl.exec("postgres-0", "sh", "-c", ask).strip()


def test_a_database_is_brought_back_as_it_was(shop: Shop, tmp_path: Path) -> None:
    (backup,), (restore, *_) = told("Backup")[:1], told("Restore")
    count = "SELECT count(*) FROM atoll.migrations"
    before = answer(shop, count)
    # Given a backup, and a mistake after it
    done(shop, backup, tmp_path)
    answer(shop, "DELETE FROM atoll.migrations")
    assert answer(shop, count) == "0"
    # When it is restored, while the service runs
    done(shop, restore, tmp_path)
    # Then all is as it was, and the service's own
    assert answer(shop, count) == before != "0"
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ($$public$$, $$atoll$$)"
    assert answer(shop, owners) == "checkout"
    shop.rolled_out("checkout")


def test_a_service_gets_another_password(shop: Shop, tmp_path: Path) -> None:
    verifier = "SELECT rolpassword FROM pg_authid WHERE rolname = $$checkout$$"
    before = answer(shop, verifier)
    read, patch, again, restart = told("A secret is to change")
    # When the password in the DSN is changed, and what the page says is done
    done(shop, f"{read}; sed -i 's|:[^:@/]*@|:{'a1' * 20}@|' url", tmp_path)
    done(shop, patch, tmp_path)
    delete, _, deploy = again.partition(" && ")
    done(shop, delete, tmp_path)
    shop.atoll(*deploy.replace("production", "test").split()[1:])
    done(shop, restart, tmp_path)
    # Then the role has it, and the pods that use it are ready
    assert answer(shop, verifier) != before
    shop.kubectl.run("rollout", "status", "deployment/checkout", "--timeout=90s", within=100)
    shop.rolled_out("checkout")
