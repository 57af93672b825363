"""What versions of services that run beside each other break for one another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from atoll.errors import BREAKS_CONSUMER, LACKS_PROVIDER, Problem
from atoll.kubernetes.revision import Built
from atoll.wire.compat import breaks, unreadable


@dataclass(frozen=True, slots=True, order=True)
class Conflict:
    """A call or an event of `service` that `consumer` would not have as it expects.

    newer: which of the two is a new version; the other is as it is deployed. reason: with method and field.
    """

    service: str
    consumer: str
    newer: str
    reason: str

    def __str__(self) -> str:
        older = self.consumer if self.newer == self.service else self.service
        return f"{self.consumer} breaks where the new {self.newer} meets the old {older}: {self.reason}"

    @property
    def problem(self) -> Problem:
        kind = BREAKS_CONSUMER if self.newer == self.service else LACKS_PROVIDER
        return kind.at(service=self.service, consumer=self.consumer, reason=self.reason)


def conflicts(deployed: Mapping[str, Built], new: Mapping[str, Built]) -> list[Conflict]:
    """Of what is to be deployed with what stays."""
    after = {**deployed, **new}
    published = {topic for each in after.values() for topic in each.publishes}
    found: list[Conflict] = []
    for consumer, reader in sorted(after.items()):
        for service, provider in sorted(after.items()):
            # Both new, or both as they are: nothing changes between them.
            if (service in new) == (consumer in new):
                continue
            gone = deployed.get(service, Built()).publishes.keys() & reader.consumes.keys() - published
            reasons = [*_broken(service, provider, reader), *(f"{topic} is not published any more" for topic in gone)]
            newer = service if service in new else consumer
            found += [Conflict(service, consumer, newer, reason) for reason in reasons]
    return found


def skew(deployed: Mapping[str, Built], new: Mapping[str, Built]) -> list[Conflict]:
    """Of those that are replaced together, while an old one may meet a new one, in whatever order they come up."""
    both = sorted(deployed.keys() & new.keys())
    changed = {name for name in both if new[name] != deployed[name]}
    found: list[Conflict] = []
    for consumer in both:
        for service in both if consumer in changed else sorted(changed):
            late = _broken(service, new[service], deployed[consumer])
            early = _broken(service, deployed[service], new[consumer])
            found += [Conflict(service, consumer, service, reason) for reason in late]
            found += [Conflict(service, consumer, consumer, reason) for reason in early]
    return found


def _broken(service: str, provider: Built, consumer: Built) -> Iterator[str]:
    for used in consumer.calls.get(service, ()):
        served = next((each for each in provider.serves if each.target == used.target), None)
        yield from breaks(used, consumer.schemas, served, provider.schemas)
    for topic in sorted(consumer.consumes.keys() & provider.publishes.keys()):
        known, sent = consumer.consumes[topic], provider.publishes[topic]
        yield from unreadable(topic, known, consumer.schemas, sent, provider.schemas)
