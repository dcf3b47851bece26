"""The `aftercall` command: what it offers, and how it says that something went wrong.

Exit codes: 0 done; 1 the work itself failed (a recording was rejected, a check did not pass); 2 wrong usage;
3 the settings cannot work; 4 not found; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import os
import sys
import typing
from importlib import metadata
from typing import Annotated

import typer

from aftercall.cli import (
    api,
    buckets,
    check,
    checking,
    consume,
    delete,
    demo,
    dlq,
    doctor,
    evaluate,
    operating,
    publish,
    relay,
    replay,
    schema,
    simulate,
    status,
    topics,
    transcribe,
    triton,
    up,
)
from aftercall.contracts import errors

EXIT_FAILED = 1
EXIT_CONFIGURATION = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="aftercall",
    help="Turn recorded calls into transcripts.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(transcribe.transcribe)
app.command()(up.up)
app.command()(consume.consume)
app.command()(relay.relay)
app.command("operator")(operating.operate)
app.command()(api.api)
app.command()(topics.topics)
app.command()(buckets.buckets)
app.command()(publish.publish)
app.command()(status.status)
app.command()(replay.replay)
app.command()(delete.delete)
app.add_typer(dlq.app, name="dlq")
app.add_typer(checking.app, name="events")
app.add_typer(triton.app, name="triton")
app.command()(doctor.doctor)
app.command()(check.check)
app.command("eval")(evaluate.evaluate)
app.command()(simulate.simulate)
app.command()(schema.schema)
app.command()(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aftercall {metadata.version('aftercall')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Turn recorded calls into transcripts."""


def main() -> None:
    """Run the command and leave; an expected failure is one sentence on standard error and an exit code, never a
    traceback.
    """
    try:
        app()
    except errors.ConfigurationError as exc:
        for line in str(exc).splitlines():
            typer.echo(f"aftercall: {line}", err=True)
        _leave(EXIT_CONFIGURATION)
    except errors.AftercallError as exc:
        typer.echo(f"aftercall: {exc}", err=True)
        _leave(EXIT_FAILED)
    except KeyboardInterrupt:
        _leave(EXIT_INTERRUPTED)
    except SystemExit as exc:  # as every command of Click's ends
        if exc.code is not None and not isinstance(exc.code, int):
            raise
        _leave(exc.code or 0)


def _leave(code: int) -> typing.NoReturn:
    """End the process without taking the interpreter down.

    obstore (0.12.1) has threads of its own; one that wakes while the interpreter goes aborts the process: of 400 runs
    of `aftercall buckets`, six in parallel on two cores, 5 ended by SIGABRT, with everything done and said.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # whoever read it has gone
            stream.flush()
    os._exit(code)
