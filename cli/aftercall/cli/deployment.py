"""What commands about a deployment have in common: its store, its topics, and a producer while it is needed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator

from aftercall.cli import configuration
from aftercall.consumers import broker, observer, tenants
from aftercall.consumers.intake import browse, sources
from aftercall.consumers.publish import kafka, objects
from aftercall.contracts import errors, settings
from aftercall.contracts import tenants as contract

_NAME = "aftercall-cli"


class Deployment:
    """A deployment's settings, checked, and ways to it; `observe` is told whether its tenants file can be read."""

    def __init__(self, configured: settings.Settings, observe: observer.Observer | None = None) -> None:
        configuration.need(
            configured,
            kafka__bootstrap_servers="names no broker",
            store__bucket="names no bucket of transcripts and outcomes",
        )
        self._configured = configured
        self._observe = observe or observer.Unobserved()
        self.kafka = configured.kafka
        self.store = objects.ObjectStore.ours(configured.store)
        self.browser = browse.Browser(broker.client(configured.kafka, name=_NAME))
        self.templates = [
            sources.KeyTemplate.parse(text) for topic in configured.kafka.topics for text in topic.key_templates
        ]

    @functools.cached_property
    def tenants(self) -> tenants.Tenants:
        """Policies of tenants; raises `errors.ConfigurationError` where their file cannot be read."""
        return tenants.Tenants(self._configured, self._observe)

    def topic_for(self, tenant: str, *, lane: contract.Lane = "live") -> str:
        """Return where a tenant's work is announced: a topic that it may be named on, of this lane where there is one.

        Raises `errors.ConfigurationError` where there is none at all.
        """
        found = self.kafka.topic_for(self.tenants.policy(tenant), lane=lane)
        if found is None:
            raise errors.ConfigurationError(
                f"kafka.topics: tenant {tenant!r} may be named on none of them: bind one, and list it in its policy"
            )
        return found

    @contextlib.asynccontextmanager
    async def producing(self) -> AsyncIterator[kafka.Producer]:
        """Open a producer, and send everything before it is closed."""
        producer = kafka.Producer(broker.client(self.kafka, name=_NAME))
        try:
            yield producer
        finally:
            await producer.close()
