"""Which topics a deployment needs, and whether they are there."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import logging
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from aftercall.consumers import broker
from aftercall.consumers.publish import webhooks
from aftercall.contracts import errors, outcomes, settings

if typing.TYPE_CHECKING:
    import kafka

log = logging.getLogger(__name__)

_ANSWER_MS = 10_000


class User(enum.StrEnum):
    """Who cannot run without a topic."""

    CONSUME = "consume"
    RELAY = "relay"
    API = "api"


@dataclasses.dataclass(frozen=True, slots=True)
class Topic:
    """A topic, what it is for, and who needs it."""

    name: str
    purpose: str
    users: frozenset[User]


def wanted(configured: settings.Settings) -> list[Topic]:
    """Return every topic that the settings speak of."""
    kafka = configured.kafka
    consume, both = frozenset({User.CONSUME}), frozenset({User.CONSUME, User.RELAY})
    # The API announces on whichever of them a tenant may be named on.
    found = [Topic(one.name, f"announces recordings ({one.lane})", consume | {User.API}) for one in kafka.topics]
    found += [
        Topic(kafka.deferred_topic, "what is over its tenant's share", consume),
        Topic(kafka.parked_topic, "what cannot be taken yet", consume),
        Topic(kafka.dead_letter_topic, "what could not be understood", consume),
        Topic(kafka.transcripts_topic, "news of outcomes", both),
    ]
    if configured.webhooks.api_url is not None:
        found += [
            Topic(name, f"webhooks to try again {delay_s:.0f} s later", frozenset({User.RELAY}))
            for delay_s, name in webhooks.delay_topics(configured.webhooks.topic_prefix).items()
        ]
    return found


def needed(configured: settings.Settings, user: User) -> list[str]:
    """Return the names of the topics that one cannot run without."""
    return [topic.name for topic in wanted(configured) if user in topic.users]


def refuse_missing(names: Sequence[str], there: Collection[str]) -> None:
    """Raise `errors.ConfigurationError` that names every topic that is not there."""
    missing = [name for name in names if name not in there]
    if missing:
        raise errors.ConfigurationError(
            f"these Kafka topics do not exist, or this login may not describe them: {', '.join(missing)}"
            " (`aftercall topics --create` creates what is missing)"
        )


async def check(configured: settings.Settings, names: Sequence[str]) -> None:
    """Refuse to start without topics: clients would ask for them ten times a second for ever, and say nothing else.

    A broker that does not answer is no reason: whoever polls goes on asking until it does.
    """
    client = broker.client(configured.kafka, name="aftercall-topics")
    try:
        there = await asyncio.to_thread(existing, client)
    except errors.TransientError as exc:
        log.warning("topics not checked", extra={"error": str(exc)})
        return
    refuse_missing(names, there)


def existing(client: Mapping[str, typing.Any]) -> dict[str, int]:
    """Return how many partitions each topic has that the login may describe. Blocks."""
    with _admin(client) as admin:
        return {one["name"]: len(one["partitions"]) for one in admin.describe_topics()}


def create(
    client: Mapping[str, typing.Any], names: Collection[str], *, partitions: int | None, replication: int | None
) -> None:
    """Create topics; None is the broker's own default. Blocks until they can be used."""
    how = {"num_partitions": partitions or -1, "replication_factor": replication or -1}
    with _admin(client) as admin:
        admin.create_topics(dict.fromkeys(names, how), wait_for_metadata=True)


@contextmanager
def _admin(client: Mapping[str, typing.Any]) -> Iterator[kafka.KafkaAdminClient]:
    import kafka
    import kafka.errors

    try:
        admin = kafka.KafkaAdminClient(**client, bootstrap_timeout_ms=_ANSWER_MS)
        try:
            yield admin
        finally:
            admin.close()
    except kafka.errors.KafkaError as exc:
        raise errors.TransientError(
            f"Kafka is not reached, or refuses ({type(exc).__name__})", reason=outcomes.Reason.BROKER_UNAVAILABLE
        ) from exc
