"""`aftercall operator`: set replicas of pools, and share tenants' limits out between consumers."""

from __future__ import annotations

import asyncio
import functools
import gc
import pathlib
import time
import typing

import typer

from aftercall.api import probes, reporting, server
from aftercall.cli import clock, configuration, telemetry
from aftercall.cli import stopping as signals
from aftercall.consumers import broker, observer
from aftercall.contracts import errors, outcomes, pools, settings
from aftercall.operator import accounts, kube, offsets, running, targets

if typing.TYPE_CHECKING:
    import httpx2

_RAY_TIMEOUT_S = 10.0
_MAX_TENANTS = 10_000
"""Two gauges each, and as many as there are Tenants in the namespace: nobody else can add any."""


def operate(settings_file: configuration.SettingsFile = None) -> None:
    """Look after the pools and tenants of a Kubernetes namespace: replicas, grants of limits, tenants' files.

    Reaches Kubernetes as its pod may, or by KUBECONFIG.

    Example: aftercall operator --settings aftercall.yaml
    """
    configured = configuration.load(settings_file)
    configuration.need(configured, kafka__bootstrap_servers="names no broker, so that no backlog is known")
    ours = configured.operator
    if (ours.certificate_file is None) != (ours.key_file is None):
        raise errors.ConfigurationError("operator.certificate_file, operator.key_file: one without the other")
    with telemetry.telling(configured.telemetry, part="operator"):
        asyncio.run(run(configured))


async def run(configured: settings.Settings) -> None:
    """Look after everything until told to stop."""
    import httpx2

    gc.set_threshold(*reporting.GARBAGE)
    stopping = signals.on_signals()
    ours = configured.operator
    client = kube.Kube.configured(ours.namespace)
    reads = offsets.Offsets(broker.client(configured.kafka, name="aftercall-operator"))
    observe = observer.PrometheusObserver(max_tenants=_MAX_TENANTS)
    try:
        # Environment variables of proxies are not for a Service of the namespace.
        async with httpx2.AsyncClient(timeout=_RAY_TIMEOUT_S, trust_env=False) as ray:
            operator = running.Operator(
                ours,
                client,
                reads,
                _ray_of(ray, client.namespace, ours.ray_token_file),
                observe,
                deferred_topic=configured.kafka.deferred_topic,
                now=time.monotonic,
                utc=clock.utc_now,
            )
            callers = accounts.Accounts(client, audience=ours.audience, now=time.monotonic)
            app = reporting.build_reporting(
                operator.hear, _authenticate(callers), observe, accounts=ours.service_accounts
            )
            probes_of = probes.build_probes(
                why_not_ready=operator.why_not_ready,
                why_not_healthy=operator.why_not_healthy,
                exposition=functools.partial(_exposition, operator, observe),
            )
            listening = server.listen(ours.host, ours.port, section="operator")
            host, port = listening.getsockname()[:2]
            typer.echo(
                f"aftercall looks after pools and tenants of namespace {client.namespace}, hears reports at"
                f" {host} port {port}",
                err=True,
            )
            if not ours.service_accounts:
                typer.echo("operator.service_accounts: is empty, so that no consumer may report", err=True)
            async with server.alongside(configured.telemetry, probes_of), asyncio.TaskGroup() as group:
                group.create_task(operator.run(stopping), name="operator")
                group.create_task(
                    server.serve(app, listening, stopping, certificate=ours.certificate_file, key=ours.key_file),
                    name="reports",
                )
    finally:
        await reads.close()
        await client.close()


def _ray_of(
    client: httpx2.AsyncClient, namespace: str, token_file: pathlib.Path | None
) -> typing.Callable[[pools.RayServeTarget], targets.Target]:
    def found(asked: pools.RayServeTarget) -> targets.Target:
        return targets.RayServe(client, targets.ray_address(asked, namespace), asked, token_file=token_file)

    return found


def _authenticate(
    callers: accounts.Accounts,
) -> typing.Callable[[str], typing.Awaitable[reporting.Caller | None]]:
    async def authenticate(token: str) -> reporting.Caller | None:
        try:
            found = await callers.tell(token)
        except errors.AftercallError as exc:
            raise errors.TransientError(
                f"tokens cannot be reviewed now: {exc}", reason=outcomes.Reason.BACKEND_UNAVAILABLE
            ) from exc
        return None if found is None else reporting.Caller(found.account, found.pod)

    return authenticate


def _exposition(
    operator: running.Operator, observe: observer.PrometheusObserver, *, openmetrics: bool = False
) -> bytes:
    operator.refresh()
    return observe.exposition(openmetrics=openmetrics)
