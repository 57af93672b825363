"""kubectl, and the objects it is given as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.cluster.programs import run

Object = Mapping[str, Any]
APPLY: Sequence[str] = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "--filename=-")


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster and one namespace.

    program, kubeconfig: paths. Every method raises programs.Failed with what kubectl said when it refuses.
    """

    program: Path
    kubeconfig: Path
    namespace: str = "default"

    def in_namespace(self, namespace: str) -> "Kubectl":
        return replace(self, namespace=namespace)

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line, for what must be started and not awaited."""
        options = [f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}"]
        return [str(self.program), *options, *map(str, arguments)]

    def run(self, *arguments: str | Path, stdin: str | None = None, within: float = 60.0) -> str:
        """What it says on its standard output."""
        return run(self.command(*arguments), stdin=stdin, within=within)

    def apply(self, *objects: Object) -> None:
        """Create them, or change them to this; the API server checks each field."""
        self.run(*APPLY, stdin=_list(objects))

    def dry_run(self, *objects: Object) -> str:
        """What the API server says to them, which it checks and does not store."""
        return self.run(*APPLY, "--dry-run=server", stdin=_list(objects))

    def define(self, folder: Path) -> None:
        """Create the definitions of resources in the files of a folder, and wait until they can be used."""
        self.run("apply", "--server-side", f"--filename={folder}")
        self.run("wait", "--for=condition=Established", f"--filename={folder}")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("get", kind, name, "--output=json"))
        return found

    def list(self, kind: str) -> Sequence[dict[str, Any]]:
        found: Sequence[dict[str, Any]] = json.loads(self.run("get", kind, "--output=json"))["items"]
        return found

    def delete(self, kind: str, *names: str, wait: bool = True) -> None:
        self.run("delete", kind, *names, "--ignore-not-found", f"--wait={str(wait).lower()}", "--grace-period=1")

    def wait(self, condition: str, *objects: str, within: float = 60.0) -> None:
        """Until a condition holds, such as "condition=Ready" or "jsonpath={.status.phase}=Bound"."""
        self.run("wait", f"--for={condition}", f"--timeout={within:g}s", *objects, within=within + 10)

    def exec(self, pod: str, *command: str, within: float = 60.0) -> str:
        """What a command says that is run in a pod, or in one of a Deployment's as "deployment/web"."""
        return self.run("exec", pod, "--", *command, within=within)

    def logs(self, pod: str) -> str:
        return self.run("logs", pod)


def _list(objects: Sequence[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
