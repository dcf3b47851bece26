"""`aftercall events check`: tells an upstream service whether its events are good, field by field."""

from __future__ import annotations

import json
import sys
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from aftercall.cli import configuration
from aftercall.consumers import observer, tenants
from aftercall.consumers.intake import sources
from aftercall.contracts import errors, events, services, settings

EXIT_BAD = 1

app = typer.Typer(no_args_is_help=True, help="For upstream services: see whether events are good.")


@app.callback()
def _group() -> None:
    """For upstream services: see whether events are good."""


@app.command()
def check(
    file: Annotated[
        str, typer.Argument(help="A file of events, or - for standard input: one JSON document, or one a line.")
    ],
    as_json: configuration.AsJson = False,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Say of each event what a consumer would make of it: recordings, nothing, or every problem, field by field.

    With `--settings` it is held to the topics, buckets and tenants of these, too. Exits 1 when any event is bad.

    Example: aftercall events check event.json
    """
    configured = configuration.load(settings_file)
    templates = [sources.KeyTemplate.parse(text) for topic in configured.kafka.topics for text in topic.key_templates]
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        raise errors.ConfigurationError(f"{file}: {exc.strerror}") from exc
    known = tenants.Tenants(configured, observer.Unobserved())
    said = [_judge(one, templates, configured, known) for one in _split(data)]
    if as_json:
        typer.echo(json.dumps(said))
    else:
        for at, one in enumerate(said, 1):
            typer.echo(f"event {at}: {'good' if one['good'] else 'bad'}: {one['message']}")
    if not said or not all(one["good"] for one in said):
        raise typer.Exit(EXIT_BAD)


def _split(data: bytes) -> list[bytes]:
    """Return the events of a file: the whole of it, the members of an array, or its lines."""
    try:
        whole = json.loads(data)
    except ValueError:
        return [line for line in data.splitlines() if line.strip()]
    return [json.dumps(one).encode() for one in whole] if isinstance(whole, list) else [data]


def _judge(
    event: bytes, templates: list[sources.KeyTemplate], configured: settings.Settings, known: tenants.Tenants
) -> dict[str, object]:
    try:
        reading = sources.read(event, (), templates=templates)
    except errors.ContractError as exc:
        return {"good": False, "message": str(exc), "recordings": []}
    refused = [why for one in reading.ready for why in _refusals(one, configured, known)]
    if refused:
        return {"good": False, "message": "; ".join(dict.fromkeys(refused)), "recordings": []}
    shown = [f"{one.tenant}/{one.call_id}" for one in reading.ready]
    passed_over = [f"passed over ({why})" for why in reading.skipped]
    return {"good": True, "message": ", ".join([*shown, *passed_over]), "recordings": shown}


def _refusals(event: events.RecordingReady, configured: settings.Settings, known: tenants.Tenants) -> list[str]:
    """Return why a deployment of these settings would not take what an event announces."""
    policy, uri = known.policy(event.tenant), urllib.parse.urlsplit(event.recording_uri)
    found = []
    if configured.kafka.topic_for(policy) is None:
        found.append(f"tenant: {event.tenant!r} may be named on none of the topics {_names(configured.kafka.topics)}")
    buckets = configured.store.recording_buckets
    if uri.scheme == "s3" and buckets and not any(one.name == uri.netloc and one.admits(policy) for one in buckets):
        found.append(f"recording_uri: recordings of {event.tenant!r} are not taken from s3://{uri.netloc}")
    return found


def _names(topics: Iterable[services.TopicBinding]) -> str:
    return ", ".join(topic.name for topic in topics)
