"""`aftercall topics`: which topics the settings speak of, and to create those that are missing."""

from __future__ import annotations

import json
from typing import Annotated

import rich.box
import rich.console
import rich.table
import typer

from aftercall.cli import configuration
from aftercall.consumers import broker
from aftercall.consumers import topics as needed

EXIT_MISSING = 1


def topics(
    create: Annotated[bool, typer.Option("--create", help="Create those that are missing.")] = False,
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Partitions of each that is created.  [default: the broker's]")
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, help="Replicas of each that is created.  [default: the broker's]")
    ] = None,
    as_json: configuration.AsJson = False,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """List the topics that consumers, relay and API need, and create those that are missing.

    Retention is the broker's default; it must outlast the longest outage and backlog that you want to survive.
    Exits 1 while one is missing. Example: aftercall topics --create --partitions 24 --replication 3
    """
    configured = configuration.load(settings_file)
    client = broker.client(configured.kafka, name="aftercall-topics")
    wanted = needed.wanted(configured)
    there = needed.existing(client)
    missing = [topic.name for topic in wanted if topic.name not in there]
    if create and missing:
        needed.create(client, missing, partitions=partitions, replication=replication)
        there = needed.existing(client)
    if as_json:
        shown = [{"name": one.name, "partitions": there.get(one.name), "purpose": one.purpose} for one in wanted]
        typer.echo(json.dumps(shown, indent=2))
    else:
        table = rich.table.Table("topic", "partitions", "for", box=rich.box.SIMPLE_HEAD)
        for one in wanted:
            n = there.get(one.name)
            state = "missing" if n is None else f"{n}, created" if one.name in missing else str(n)
            table.add_row(one.name, state, one.purpose)
        rich.console.Console().print(table)
    if any(one.name not in there for one in wanted):
        raise typer.Exit(EXIT_MISSING)
