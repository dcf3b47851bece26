"""Where a command's settings come from: the command line, then the environment, then the file, then the defaults."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from aftercall.contracts import errors, settings

SettingsFile = Annotated[
    pathlib.Path | None,
    typer.Option(
        "--settings",
        envvar=settings.FILE_VARIABLE,
        dir_okay=False,
        help="YAML file of settings.",
    ),
]
DataDir = Annotated[
    pathlib.Path | None,
    typer.Option("--data", file_okay=False, help="Folder of the embedded stores.  [default: ./aftercall-data]"),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A model name of faster-whisper, or a path.  [default: base; large-v3-turbo on a GPU]",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def need(configured: settings.Settings, **wanted: str) -> None:
    """Raise `errors.ConfigurationError` with every setting that is missing: `section__name="what it is for"`."""
    problems = []
    for name, why in wanted.items():
        section, _, field = name.partition("__")
        if not getattr(getattr(configured, section), field):
            problems.append(f"{section}.{field}: {why}")
    if problems:
        raise errors.ConfigurationError("\n".join(problems))


def load(file: pathlib.Path | None, **sections: Mapping[str, Any]) -> settings.Settings:
    """Load settings; in `sections`, values that are None were not given on the command line."""
    given: dict[str, dict[str, Any]] = {}
    for section, values in sections.items():
        for name, value in values.items():
            if value is not None:
                given.setdefault(section, {})[name] = value
    return settings.load(os.environ, file=file, overrides=given)
