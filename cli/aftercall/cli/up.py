"""`aftercall up`: the service in one process."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Annotated

import typer

from aftercall.api import app, server
from aftercall.cli import configuration, local, telemetry
from aftercall.cli import stopping as signals
from aftercall.contracts import settings
from aftercall.serve import backends


def up(
    recordings: Annotated[
        pathlib.Path | None,
        typer.Option("--recordings", file_okay=False, help="Folder to watch, laid out as {tenant}/{call_id}.ext."),
    ] = None,
    data: configuration.DataDir = None,
    model: configuration.ModelName = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to bind.  [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Port to bind; 0 takes a free one.  [default: 8400]")
    ] = None,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Watch a folder of recordings, serve the REST API, and keep every state on disk.

    Stop it with Ctrl-C or in any other way; started again on the same data folder it goes on where it was.

    Example: aftercall up --recordings ./recordings --data ./aftercall-data
    """
    configured = configuration.load(
        settings_file,
        intake={"recordings_dir": recordings},
        data={"dir": data},
        speech={"model": model},
        api={"host": host, "port": port},
    )
    backends.prepare(configured.speech)
    with telemetry.telling(configured.telemetry, part="service"):
        asyncio.run(run(configured))


async def run(configured: settings.Settings) -> None:
    """Run the service until it is told to stop."""
    stopping = signals.on_signals()
    async with local.open_service(configured) as service:
        if service.watched is not None and not service.watched.is_dir():
            service.watched.mkdir(parents=True)
        typer.echo(f"loading {configured.speech.model or 'the default model'} …", err=True)
        await service.start()
        listening = server.listen(configured.api.host, configured.api.port)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"aftercall is ready: http://{shown}:{port}  data: {service.data}", err=True)
        if service.watched is not None:
            typer.echo(f"watching {service.watched} for {{tenant}}/{{call_id}}.ext", err=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(app.build_app(service), listening, stopping), name="api")
            group.create_task(service.run(stopping), name="service")
