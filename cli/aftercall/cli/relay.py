"""`aftercall relay`: carry the news of outcomes to ClickHouse and webhooks, apart from whoever transcribes."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable

import typer

from aftercall.api import probes, server
from aftercall.cli import configuration, telemetry
from aftercall.cli import stopping as signals
from aftercall.consumers import broker, egress, observer, tenants, topics
from aftercall.consumers.intake import kafka as polling
from aftercall.consumers.publish import clickhouse, news, objects, outcome, sweep, webhooks
from aftercall.consumers.publish import kafka as producing
from aftercall.consumers.publish import relay as carrying
from aftercall.contracts import errors, settings


def relay(settings_file: configuration.SettingsFile = None) -> None:
    """Write rows of outcomes and segments to ClickHouse, and tell tenants by webhook.

    While a sink is down its news waits on topics; transcription does not notice.

    Example: aftercall relay --settings aftercall.yaml
    """
    configured = configuration.load(settings_file)
    configuration.need(
        configured,
        kafka__bootstrap_servers="names no broker",
        store__bucket="names no bucket of transcripts and outcomes",
    )
    with telemetry.telling(configured.telemetry, part="relay"):
        asyncio.run(run(configured))


async def run(configured: settings.Settings) -> None:
    """Carry until told to stop."""
    stopping = signals.on_signals()
    store = objects.ObjectStore.ours(configured.store)
    observe = observer.PrometheusObserver()
    to_clickhouse = configured.clickhouse.url is not None or configured.clickhouse.folder is not None
    to_webhooks = configured.webhooks.api_url is not None
    if not to_clickhouse and not to_webhooks:
        raise errors.ConfigurationError("clickhouse.url, webhooks.api_url: there is nothing to relay to")
    await topics.check(configured, topics.needed(configured, topics.User.RELAY))
    shown = " and ".join(name for name, wanted in (("ClickHouse", to_clickhouse), ("webhooks", to_webhooks)) if wanted)
    typer.echo(f"aftercall is ready: relays {configured.kafka.transcripts_topic} to {shown}", err=True)
    pollers: list[polling.Poller] = []
    probes_of = probes.build_probes(
        why_not_ready=lambda: None, why_not_healthy=lambda: why_not_healthy(pollers), exposition=observe.exposition
    )
    async with server.alongside(configured.telemetry, probes_of), asyncio.TaskGroup() as group:
        if to_clickhouse:
            group.create_task(_carry_rows(configured, store, observe, stopping), name="clickhouse")
        if to_webhooks:
            group.create_task(_tell_tenants(configured, store, observe, stopping, pollers), name="webhooks")


def why_not_healthy(pollers: Iterable[polling.Poller]) -> str | None:
    """Say which thread has ended, which nothing but a new start begins anew."""
    return next((why for each in pollers if (why := each.why_not_alive()) is not None), None)


async def _carry_rows(
    configured: settings.Settings,
    store: objects.ObjectStore,
    observe: observer.Observer,
    stopping: asyncio.Event,
) -> None:
    group = f"{configured.kafka.group}.{carrying.GROUP}"
    told = news.KafkaNews(
        broker.member(configured.kafka, group=group, name="aftercall-relay"), configured.kafka.transcripts_topic
    )
    sink = clickhouse.ClickHouse.configured(configured.clickhouse)
    carrier = carrying.ClickHouseRelay(told, outcome.Reader(store), sink, observe)
    producer = producing.Producer(broker.client(configured.kafka, name="aftercall-sweep"))
    publisher = outcome.Publisher(store, producing.KafkaTopic(producer, configured.kafka.transcripts_topic))
    sweeper = sweep.Sweep(store, publisher, sink, observe, settle_s=configured.clickhouse.sweep_settle_s)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(carrier.run(stopping), name="carrier")
            tasks.create_task(sweeper.run(stopping, interval_s=configured.clickhouse.sweep_interval_s), name="sweep")
    finally:
        await told.close()
        await producer.close()


async def _tell_tenants(
    configured: settings.Settings,
    store: objects.ObjectStore,
    observe: observer.Observer,
    stopping: asyncio.Event,
    pollers: list[polling.Poller],
) -> None:
    hooks, kafka = configured.webhooks, configured.kafka
    producer = producing.Producer(broker.client(kafka, name="aftercall-webhooks"))
    policies = tenants.Tenants(configured, observe)

    allowed = [ipaddress.ip_network(text) for text in hooks.private_networks]
    async with egress.client(timeout_s=hooks.timeout_s, allowed=allowed) as web:
        teller = webhooks.Webhooks(
            web,
            store,
            policy_of=policies.policy,
            api_url=str(hooks.api_url),
            topic_prefix=hooks.topic_prefix,
            send=producer.send,
            finished=lambda place: poller.finish(place),
            observe=observe,
        )
        poller = polling.into_loop(
            teller,
            [kafka.transcripts_topic, *webhooks.delay_topics(hooks.topic_prefix).values()],
            kafka,
            group=f"{kafka.group}.webhooks",
            name="aftercall-webhooks",
        )
        pollers.append(poller)
        poller.start()
        try:
            await policies.watch(stopping)
        finally:
            await asyncio.to_thread(poller.stop)
            await teller.close()
            await producer.close()
