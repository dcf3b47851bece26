"""The configuration and metrics references in `docs/`, written from the code that they describe.

`python -m aftercall.contracts.reference` writes them; with `--check` it only says whether they are stale.
"""

from __future__ import annotations

import pathlib
import sys
import typing

import pydantic
from pydantic_core import PydanticUndefined

from aftercall.contracts import metrics, sections, settings, tenants

_DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs"

_CONFIGURATION_HEAD = f"""# Configuration

Generated from `contracts/aftercall/contracts/sections.py` by `make schemas`; do not edit.

Every setting can be given in three places; the first one that names it wins:

1. the environment: `AFTERCALL_<SECTION>__<NAME>`, for example `AFTERCALL_SPEECH__MODEL=small`; lists and mappings
   are written as YAML, for example `AFTERCALL_API__KEYS='{{acme: s3cret}}'`;
2. a YAML file named by `--settings` or `{settings.FILE_VARIABLE}`:
   ```yaml
   speech:
     model: small
     language: en
   tenants:
     - name: acme
       egress_hosts: [stt.example.com]
   ```
3. the defaults below.

A secret can be read from a file instead: `AFTERCALL_KAFKA__PASSWORD_FILE`, or `password_file` under `kafka`, names it.

A name that does not exist is a problem, not ignored; all problems are reported together. Options of a command
(`--model`, `--data`, …) beat all three.

These names of other products work as aliases:

| name | setting | values |
|---|---|---|
"""
_ALIAS_VALUES = {
    "TRANSCRIPTION_POST_ENABLED": "`true` or `false`",
    "WHISPER_MODEL": "a model name or a path",
    "STT_LANGUAGE": "a language code; `auto` or empty: detected",
    "WHISPER_URL": "address of an OpenAI-compatible transcription server, with or without `/v1`",
}


def configuration() -> str:
    """Return docs/configuration.md."""
    text = _CONFIGURATION_HEAD
    for name, (section, field) in settings.ALIASES.items():
        text += f"| `{name}` | `{section}.{field}` | {_ALIAS_VALUES[name]} |\n"
    for section, info in settings.Settings.model_fields.items():
        model = info.annotation
        if isinstance(model, type) and issubclass(model, sections.Section):
            text += f"\n## {section}\n\n{(model.__doc__ or '').strip()}\n\n{_table(model, prefix=f'{section}.')}"
            for name, inside in model.model_fields.items():
                for inner in _models_in(inside.annotation):
                    about = (inner.__doc__ or "").strip()
                    text += f"\n### Each of {section}.{name}\n\n{about}\n\n{_table(inner, prefix='')}"
    text += f"\n## tenants\n\nA list; each entry is one tenant's policy.\n\n{_table(tenants.TenantPolicy, prefix='')}"
    text += f"\n### webhook of a tenant\n\n{tenants.Webhook.__doc__}\n\n{_table(tenants.Webhook, prefix='')}"
    return text


def metrics_reference() -> str:
    """Return docs/metrics.md."""
    text = (
        "# Metrics\n\nGenerated from `contracts/aftercall/contracts/metrics.py` by `make schemas`; do not edit.\n"
        "They are shown at `/metrics`, in the Prometheus text format, or as OpenMetrics with exemplars "
        "where that is asked for.\n\n"
        "| metric | type | labels | meaning |\n"
        "|---|---|---|---|\n"
    )
    for metric in metrics.ALL:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        text += f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |\n"
    return text


def _table(model: type[pydantic.BaseModel], *, prefix: str) -> str:
    rows = "| setting | type | default | meaning |\n|---|---|---|---|\n"
    for name, info in model.model_fields.items():
        meaning = " ".join((info.description or "").split())
        rows += f"| `{prefix}{name}` | {_type_of(info.annotation)} | {_default_of(info)} | {meaning} |\n"
    return rows


def _models_in(annotation: typing.Any) -> list[type[pydantic.BaseModel]]:
    return [arg for arg in typing.get_args(annotation) if isinstance(arg, type) and issubclass(arg, pydantic.BaseModel)]


def _type_of(annotation: typing.Any) -> str:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_of(args[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin is tuple:
        return f"list of {_type_of(args[0])}"
    if origin is dict:
        return f"mapping to {_type_of(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return "mappings"
    if args:
        return " or ".join(_type_of(arg) for arg in args if arg is not type(None))
    known = {bool: "true or false", int: "whole number", float: "number", str: "text", pathlib.Path: "path"}
    return known.get(annotation, {"SecretStr": "secret", "HttpUrl": "URL"}.get(annotation.__name__, "text"))


def _default_of(info: pydantic.fields.FieldInfo) -> str:
    default = info.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "required"
    if default is None or default in ({}, ()):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple) and isinstance(default[0], pydantic.BaseModel):
        return f"`{[one.model_dump(exclude_defaults=True) for one in default]}`".replace("'", "")
    if isinstance(default, tuple):
        return f"`[{', '.join(map(str, default))}]`"
    return f"`{default}`"


def main(arguments: list[str]) -> int:
    """Write the references, or with `--check` name those that are stale."""
    pages = {"configuration.md": configuration(), "metrics.md": metrics_reference()}
    stale = [
        name
        for name, text in pages.items()
        if not (_DOCS / name).exists() or (_DOCS / name).read_text(encoding="utf-8") != text
    ]
    if arguments == ["--check"]:
        if stale:
            sys.stderr.write(f"stale: docs/{', docs/'.join(stale)}; run `make schemas`\n")
        return 1 if stale else 0
    for name in stale:
        (_DOCS / name).write_text(pages[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
