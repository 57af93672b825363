"""One checkout of the boutique as a trace has it: who was asked by whom, up from each mail."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hop:
    """A span as a tool shows it. kind: in small letters."""

    span: str
    parent: str
    service: str
    kind: str


def mails(hops: list[Hop]) -> list[list[str]]:
    """From each mail up to where it all began."""
    spans = {hop.span: hop for hop in hops}
    paths = []
    for hop in hops:
        if (hop.service, hop.kind) == ("email", "consumer"):
            path = [f"{hop.service} {hop.kind}"]
            while hop.parent in spans:
                hop = spans[hop.parent]
                path.append(f"{hop.service} {hop.kind}")
            paths.append(path)
    return sorted(paths)


BEGIN = ["checkout server", "frontend client", "frontend server", "gateway server"]
PAID = ["payment producer", "payment server", "checkout client", *BEGIN]
SHIPPED = ["email consumer", "shipping producer", "shipping consumer", *PAID]
# Whichever comes first confirms an order: the answer to the charge, or the event that tells of it.
CONFIRMED = (BEGIN, ["checkout consumer", *PAID])
ONE_CHECKOUT = tuple([["email consumer", "checkout producer", *cause], SHIPPED] for cause in CONFIRMED)
"""What the mails of one are, which is one of these."""
