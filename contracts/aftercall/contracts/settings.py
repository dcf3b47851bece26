"""Every setting, with its unit, its default and why; read once, all problems reported together.

Precedence: environment, then the YAML file, then the defaults here. A setting `section.name` is read from
`AFTERCALL_SECTION__NAME` and from `name` under `section` in the file. An unknown name in either is a problem.
"""

from __future__ import annotations

import pathlib
import typing
from collections.abc import Mapping
from typing import Any, TypeGuard

import pydantic
import yaml

from aftercall.contracts import errors, sections, services
from aftercall.contracts.tenants import TenantPolicy

PREFIX = "AFTERCALL_"
FILE_VARIABLE = "AFTERCALL_SETTINGS_FILE"
"""Names the YAML file where no command-line option does."""
ALIASES: dict[str, tuple[str, str]] = {
    "TRANSCRIPTION_POST_ENABLED": ("intake", "enabled"),
    "WHISPER_MODEL": ("speech", "model"),
    "STT_LANGUAGE": ("speech", "language"),
    "WHISPER_URL": ("speech", "url"),
}
"""Names that other products' users have in their environment already; our own name wins where both are set."""
_FILE = "_file"
"""Ends the name that a secret's file is given by: `kafka.password_file` for `kafka.password`."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Settings(sections.Section):
    """Every setting of every part."""

    data: sections.Data = sections.Data()
    intake: sections.Intake = sections.Intake()
    recording: sections.Recording = sections.Recording()
    speech: sections.Speech = sections.Speech()
    diarization: sections.Diarization = sections.Diarization()
    shadow: sections.Shadow = sections.Shadow()
    serving: sections.Serving = sections.Serving()
    kafka: services.Kafka = services.Kafka()
    store: services.Store = services.Store()
    clickhouse: services.ClickHouse = services.ClickHouse()
    webhooks: sections.Webhooks = sections.Webhooks()
    telemetry: sections.Telemetry = sections.Telemetry()
    operator: sections.Operator = sections.Operator()
    reporting: sections.Reporting = sections.Reporting()
    api: sections.Api = sections.Api()
    tenants: tuple[TenantPolicy, ...] = ()
    """Policies of tenants; a tenant that is not listed gets the defaults, which let nothing leave."""

    def policy(self, tenant: str) -> TenantPolicy:
        """Return the tenant's policy; one that is not listed gets the defaults."""
        return next((policy for policy in self.tenants if policy.name == tenant), TenantPolicy(name=tenant))


def load(
    env: Mapping[str, str],
    *,
    file: pathlib.Path | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Merge defaults, `file`, `env` and `overrides` (by section, from a command line), each beating the one before.

    Raises `errors.ConfigurationError` with every problem, one a line, when anything is unknown or cannot work.
    """
    problems: list[str] = []
    merged: dict[str, Any] = {}
    for layer in (_read_file(file, problems), _read_env(env, problems), overrides or {}):
        for section, values in layer.items():
            if isinstance(values, Mapping) and isinstance(merged.get(section, {}), Mapping):
                merged[section] = {**merged.get(section, {}), **values}
            else:
                merged[section] = values
    _read_secret_files(merged, problems)
    try:
        settings = Settings.model_validate(merged)
    except pydantic.ValidationError as exc:
        problems += [f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}" for one in exc.errors()]
    problems += _contradictions(merged)
    if problems:
        raise errors.ConfigurationError("\n".join(problems))
    return settings


def _contradictions(merged: Mapping[str, Any]) -> list[str]:
    """Find settings that do not go together; of the plain values, so that other problems hide none of these."""
    found = []
    api, speech = (merged.get(name) for name in ("api", "speech"))
    if isinstance(api, Mapping) and api.get("host", "127.0.0.1") not in LOOPBACK and not api.get("keys"):
        found.append(
            f"api.host: {api['host']} can be reached from outside, so api.keys must name a key for each tenant"
        )
    if isinstance(speech, Mapping) and speech.get("backend") in {"openai", "ray", "triton"} and not speech.get("url"):
        found.append(f"speech.url: backend is {speech['backend']}, which needs the address of a server")
    kafka = merged.get("kafka")
    if isinstance(kafka, Mapping) and str(kafka.get("security_protocol", "")).startswith("SASL"):
        missing = [name for name in ("sasl_mechanism", "username", "password") if not kafka.get(name)]
        found += [f"kafka.{name}: {kafka['security_protocol']} needs it" for name in missing]
    return found


def _read_file(file: pathlib.Path | None, problems: list[str]) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        plain = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        problems.append(f"settings file {file}: {exc}")
        return {}
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        problems.append(f"settings file {file}: not a mapping but {type(plain).__name__}")
        return {}
    return plain


def _read_env(env: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    layer: dict[str, dict[str, Any]] = {}
    for name, (section, field) in ALIASES.items():
        if name in env:
            layer.setdefault(section, {})[field] = env[name]
    for name in sorted(env):
        if not name.startswith(PREFIX) or name == FILE_VARIABLE:
            continue
        section, _, field = name.removeprefix(PREFIX).lower().partition("__")
        model = Settings.model_fields.get(section)
        known = model.annotation.model_fields if model and _is_section(model.annotation) else {}
        if field.endswith(_FILE) and field.removesuffix(_FILE) in _secrets(known):
            layer.setdefault(section, {})[field] = env[name]
            continue
        if field not in known:
            problems.append(f"{name}: no such setting")
            continue
        layer.setdefault(section, {})[field] = _parse_value(env[name], scalar=_is_scalar(known[field].annotation))
    return layer


def _read_secret_files(merged: dict[str, Any], problems: list[str]) -> None:
    """Put what lies in the file that `x_file` names in the place of the secret `x`; a mounted Secret is such a file."""
    for section, info in Settings.model_fields.items():
        values = merged.get(section)
        if not _is_section(info.annotation) or not isinstance(values, Mapping):
            continue
        found = dict(values)
        for name in _secrets(info.annotation.model_fields):
            file = found.pop(name + _FILE, None)
            if file is None:
                continue
            if name in found:
                problems.append(f"{section}.{name}{_FILE}: {section}.{name} is given too; one of them is enough")
                continue
            try:
                found[name] = pathlib.Path(str(file)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as exc:
                problems.append(f"{section}.{name}{_FILE}: {exc}")
        merged[section] = found


def _secrets(fields: Mapping[str, pydantic.fields.FieldInfo]) -> list[str]:
    return [name for name, info in fields.items() if info.annotation == pydantic.SecretStr | None]


def _is_section(annotation: Any) -> TypeGuard[type[sections.Section]]:
    return isinstance(annotation, type) and issubclass(annotation, sections.Section)


def _is_scalar(annotation: Any) -> bool:
    """Say whether a field takes one value; tuples and mappings come as YAML flow, `[a, b]` or `{a: b}`."""
    return typing.get_origin(annotation) not in {tuple, dict}


def _parse_value(text: str, *, scalar: bool) -> Any:
    if scalar:
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
