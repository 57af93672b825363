"""Whose a role on a server of others is: its comment names the system that made it, which alone may change it.

Not the database's, for that is its owner's to change: the service's.
"""

from collections.abc import Iterable, Mapping

from atoll.engines.postgres import Known, Owner, identifier, literal

_SIGN = "atoll: "
_BY_HAND = "somebody else"


def mark(system: str, place: str) -> str:
    """What is written at a role. place: where the system runs, such as "namespace production"."""
    return f"{_SIGN}{system}, {place}"


def unmarked(owners: Iterable[Owner], known: Known) -> list[Owner]:
    """Those with a role that does not say whose it is: who knows its password owns it."""
    return [each for each in owners if each.name in known.roles and not _whose(each.name, known)]


def others(owners: Iterable[Owner], known: Known, own: str, unproved: Iterable[str]) -> dict[str, str]:
    """By name, whose the role or the database is that another has already.

    own: our mark. unproved: roles without a mark, of whom we don't know the password.
    """
    found = dict.fromkeys(unproved, _BY_HAND)
    for each in owners:
        whose = _whose(each.name, known)
        if whose and f"{_SIGN}{whose}" != own:
            found[each.name] = whose
        elif each.name in known.databases and each.name not in known.roles:
            found[each.name] = _BY_HAND
    return found


def refusal(found: Mapping[str, str], known: Known, own: str) -> tuple[str, str]:
    """What is wrong, and what an administrator may run to give these roles and databases up to us."""
    reason = "; ".join(f"the role or database {name} is of {whose}" for name, whose in sorted(found.items()))
    todo = " ".join(_given_up(name, known, own) for name in sorted(found))
    return reason, f"name another server, or call the service otherwise; or, to give its data up to this system: {todo}"


def _whose(name: str, known: Known) -> str:
    comment = known.comments.get(name, "")
    return comment.removeprefix(_SIGN) if comment.startswith(_SIGN) else ""


def _given_up(name: str, known: Known, own: str) -> str:
    quoted = identifier(name)
    role = "" if name in known.roles else f"CREATE ROLE {quoted} LOGIN; ALTER DATABASE {quoted} OWNER TO {quoted}; "
    return f"{role}COMMENT ON ROLE {quoted} IS {literal(own)};"
