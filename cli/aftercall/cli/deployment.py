"""What commands about a deployment have in common: its store, its topics, and a producer while it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aftercall.cli import configuration
from aftercall.consumers import broker
from aftercall.consumers.intake import browse, sources
from aftercall.consumers.publish import kafka, objects
from aftercall.contracts import settings

_NAME = "aftercall-cli"


class Deployment:
    """A deployment's settings, checked, and ways to it."""

    def __init__(self, configured: settings.Settings) -> None:
        configuration.need(
            configured,
            kafka__bootstrap_servers="names no broker",
            store__bucket="names no bucket of transcripts and outcomes",
        )
        self.kafka = configured.kafka
        self.store = objects.ObjectStore.ours(configured.store)
        self.browser = browse.Browser(broker.client(configured.kafka, name=_NAME))
        self.templates = [
            sources.KeyTemplate.parse(text) for topic in configured.kafka.topics for text in topic.key_templates
        ]

    @property
    def bulk_topic(self) -> str:
        """Where work goes that is in no hurry: the first topic of the bulk lane, else the first."""
        bulk = [topic.name for topic in self.kafka.topics if topic.lane == "bulk"]
        return (bulk or [topic.name for topic in self.kafka.topics])[0]

    @contextlib.asynccontextmanager
    async def producing(self) -> AsyncIterator[kafka.Producer]:
        """Open a producer, and send everything before it is closed."""
        producer = kafka.Producer(broker.client(self.kafka, name=_NAME))
        try:
            yield producer
        finally:
            await producer.close()
