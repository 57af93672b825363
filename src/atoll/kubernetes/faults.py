"""Tells pods to fail on purpose, where the environment allows it; they forget it when they end."""

import base64
from collections.abc import Sequence

import msgspec

from atoll.errors import FAULT_REFUSED, FAULTS_NOT_ALLOWED, NO_SUCH_SERVICE
from atoll.kubernetes.client import Api
from atoll.kubernetes.names import Object, Target, admin_port_of
from atoll.kubernetes.objects import Key, key_of, mapping
from atoll.kubernetes.resolve import FAULT_SECRET
from atoll.model.launch import FaultOrder, InjectedFault
from atoll.model.suggest import nearest
from atoll.provision.http import Reply
from atoll.wire.description import MemberData

_OK = 200


def chosen(target: Target, names: Sequence[str], environment: str) -> list[MemberData]:
    """The services of these names. Raises AtollError NO_SUCH_SERVICE, FAULTS_NOT_ALLOWED. Touches nothing."""
    members = {each.name: each for each in target.members}
    for name in names:
        if name not in members:
            raise NO_SUCH_SERVICE.error(has=nearest(name, members), name=name)
    if not target.environment.faults.allowed:
        raise FAULTS_NOT_ALLOWED.error(namespace=target.namespace, environment=environment)
    return [members[name] for name in names]


async def order(api: Api, members: Sequence[MemberData], fault: InjectedFault | None) -> list[str]:
    """Let every pod of these fail like this; None deletes them. The names of the pods.

    Raises AtollError FAULT_REFUSED, CLUSTER_FORBIDS, CLUSTER_UNREACHABLE.
    """
    token = "" if fault is None else await _token(api)
    told: list[str] = []
    for member in members:
        if fault is not None and member.kind == "process":
            do = f"`atoll fault {member.name} kill` ends it; errors= and latency= go into who calls it"
            raise FAULT_REFUSED.error(pod=member.name, reason="it is a program, and atoll is not inside of it", do=do)
        for pod in await api.all("Pod", f"app={member.name}"):
            name = key_of(pod).name
            if "deletionTimestamp" in mapping(pod, "metadata"):
                continue
            if fault is None:
                await api.delete(Key("Pod", name))
            else:
                await _tell(api, pod, admin_port_of(member), FaultOrder(token, fault))
            told.append(name)
    return told


async def _token(api: Api) -> str:
    secret, key = FAULT_SECRET
    kept = mapping(await api.get(Key("Secret", secret)), "data").get(key)
    if not isinstance(kept, str):
        reason = f"the namespace has no Secret {secret}"
        raise FAULT_REFUSED.error(pod=api.namespace, reason=reason, do="deploy again: it is made then")
    return base64.b64decode(kept).decode()


async def _tell(api: Api, pod: Object, port: int, what: FaultOrder) -> None:
    try:
        reply = await api.ask(pod, port, "/fault", method="PUT", body=msgspec.json.encode(what))
    except OSError as error:
        reason = str(error) or type(error).__name__
    else:
        if reply.status == _OK:
            return
        reason = _said(reply)
    do = "deploy again: it may be older than its environment"
    raise FAULT_REFUSED.error(pod=key_of(pod).name, reason=reason, do=do)


def _said(reply: Reply) -> str:
    """Its status, and the reason that a problem document gives."""
    if not reply.status:
        return "nothing of ours answers at its admin port"
    try:
        problem = msgspec.json.decode(reply.body, type=dict[str, object])
    except msgspec.DecodeError:
        problem = {}
    return f"{reply.status} {problem.get('detail') or problem.get('title') or ''}".strip().rstrip(".")
