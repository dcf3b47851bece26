"""`aftercall schema`: the JSON Schemas that other programs validate against."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from aftercall.contracts import schemas


def schema(
    name: Annotated[str | None, typer.Argument(help="Which one; without it, the names are listed.")] = None,
) -> None:
    """Print the JSON Schema of a document or event.

    Example: aftercall schema transcript > transcript.schema.json
    """
    known = schemas.json_schemas()
    if name is None:
        for each in sorted(known):
            typer.echo(each)
        return
    if name not in known:
        raise typer.BadParameter(f"no schema is called {name!r}; there are {', '.join(sorted(known))}")
    typer.echo(json.dumps(known[name], indent=2, ensure_ascii=False))
