"""How streams, subjects and consumers are called in NATS."""

from collections.abc import Iterable

from atoll.model.taken import DEAD_LETTERS


def stream(system: str, topic: str) -> str:
    """The stream that keeps a topic's events."""
    return f"{system}-{topic}"


def subject(system: str, topic: str) -> str:
    """Where a topic's events are published."""
    return f"evt.{system}.{topic}"


def redrive_subject(system: str, topic: str, durable: str) -> str:
    """Where an event is published again for one consumer alone; in the topic's own stream."""
    return f"redrive.{system}.{topic}.{durable}"


def stream_subjects(system: str, topic: str) -> tuple[str, str]:
    """Everything that the topic's stream keeps."""
    return subject(system, topic), redrive_subject(system, topic, "*")


def durable(service: str, method: str) -> str:
    """The durable consumer of a handler. Unambiguous: the last hyphen ends the service's name."""
    return f"{service}-{method}"


def dead_stream(system: str) -> str:
    """The stream that keeps the dead letters of all topics."""
    return stream(system, DEAD_LETTERS)


def dead_subject(system: str, topic: str, durable: str) -> str:
    """Where a consumer puts an event that it gives up."""
    return f"dead.{system}.{topic}.{durable}"


def inbox(service: str) -> str:
    """The prefix of a service's inboxes: nobody else may listen there."""
    return f"_INBOX_{service}"


def publishable(system: str, publishes: Iterable[str], consumes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The subjects that a service may publish to: its topics, and its consumers' dead letters.

    publishes: topics. consumes: topic and durable of each of its consumers.
    """
    own = [subject(system, topic) for topic in publishes]
    return (*own, *(dead_subject(system, topic, name) for topic, name in consumes))
