"""`aftercall schema`: the schemas that other programs validate against, and Kubernetes."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from aftercall.contracts import crds, schemas


def schema(
    name: Annotated[str | None, typer.Argument(help="Which one; without it, the names are listed.")] = None,
) -> None:
    """Print the JSON Schema of a document or event, or the definition of a custom resource.

    Example: aftercall schema transcript > transcript.schema.json
    """
    known = {each: json.dumps(found, indent=2, ensure_ascii=False) for each, found in schemas.json_schemas().items()}
    known |= {each.removesuffix(".yaml"): text.rstrip() for each, text in crds.files().items()}
    if name is None:
        for each in sorted(known):
            typer.echo(each)
        return
    if name not in known:
        raise typer.BadParameter(f"no schema is called {name!r}; there are {', '.join(sorted(known))}")
    typer.echo(known[name])
