"""`aftercall buckets`: which buckets the settings speak of, and to create those that are missing."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from aftercall.cli import configuration
from aftercall.consumers.publish import buckets as needed
from aftercall.contracts import services

EXIT_MISSING = 1


def buckets(
    create: Annotated[bool, typer.Option("--create", help="Create those that are missing.")] = False,
    as_json: configuration.AsJson = False,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """List the buckets of recordings and of transcripts, and create those that are missing.

    Exits 1 while one is missing. Example: aftercall buckets --create
    """
    configured = configuration.load(settings_file)
    configuration.need(configured, store__bucket="names no bucket of transcripts and outcomes")
    missing, made = asyncio.run(_look(configured.store, create=create))
    states = {
        name: "created" if name in made else "missing" if name in missing else "there"
        for name in needed.wanted(configured.store)
    }
    if as_json:
        typer.echo(json.dumps(states))
    else:
        for name, purpose in needed.wanted(configured.store).items():
            typer.echo(f"{states[name]:8}{name}: {purpose}")
    if "missing" in states.values():
        raise typer.Exit(EXIT_MISSING)


async def _look(store: services.Store, *, create: bool) -> tuple[list[str], list[str]]:
    """Return which buckets were missing, and which of them are there now."""
    missing = await needed.missing(store)
    if not create:
        return missing, []
    for name in missing:
        await needed.create(store, name)
    return missing, missing
