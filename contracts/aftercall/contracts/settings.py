"""Every setting, with its unit, its default and why; read once, all problems reported together.

Precedence: environment, then the YAML file, then the defaults here. A setting `section.name` is read from
`AFTERCALL_SECTION__NAME` and from `name` under `section` in the file. An unknown name in either is a problem.
"""

from __future__ import annotations

import pathlib
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeGuard

import pydantic
import yaml

from aftercall.contracts import errors
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

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_AUTO_LANGUAGE = frozenset({"", "auto", "detect"})

PositiveSeconds = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, pydantic.Field(ge=0, le=1, allow_inf_nan=False)]


class Section(pydantic.BaseModel):
    """A group of settings; unknown names are problems, so that a typing error cannot pass unseen."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Data(Section):
    """Where state lies."""

    dir: pathlib.Path = pathlib.Path("aftercall-data")
    """Folder of the embedded stores: queue, transcripts, outcomes and ClickHouse."""


class Intake(Section):
    """Which recordings are taken, and how many at once."""

    enabled: bool = True
    """Whether recordings are transcribed at all; when off, requests answer 503 and the folder is not watched."""
    recordings_dir: pathlib.Path | None = None
    """Folder that is watched for recordings, laid out as `{tenant}/{call_id}.ext`; none: nothing is watched."""
    scan_interval_s: PositiveSeconds = 1.0
    """Seconds between looks at the watched folder."""
    settle_s: Annotated[float, pydantic.Field(ge=0, le=600)] = 2.0
    """Seconds a file must stay unchanged before it is taken, so that one still being copied is left alone."""
    max_open_calls: Annotated[int, pydantic.Field(ge=1, le=256)] = 4
    """Recordings worked on at once: enough to fill batches with windows of several calls, few enough to finish them."""
    max_strikes: Annotated[int, pydantic.Field(ge=1, le=100)] = 3
    """Deaths of a recording's own decode child before it is given up as dead."""


class Recording(Section):
    """What a recording may cost before it is refused."""

    max_size_bytes: Annotated[int, pydantic.Field(ge=1)] = 2 * 1024**3
    """Bytes of a recording; 2 GiB holds 12 h of 8 kHz 16-bit stereo WAV nearly four times over."""
    max_duration_s: PositiveSeconds = 12 * 3600.0
    """Seconds of decoded audio after which a recording is refused: a file may lie about its length."""
    max_channels: Annotated[int, pydantic.Field(ge=1, le=64)] = 8
    """Channels that are transcribed; a recording with more is refused, never cut down."""
    decode_memory_bytes: Annotated[int, pydantic.Field(ge=64 * 1024**2)] = 512 * 1024**2
    """Address space of the decode child."""
    decode_cpu_s: PositiveSeconds = 600.0
    """CPU seconds of the decode child; a 3 h stereo call takes about 15."""
    decode_stall_s: PositiveSeconds = 60.0
    """Seconds without a block from the decode child, while one is being waited for, before it is ended."""


class Speech(Section):
    """Which model hears the windows, where it runs, and how it decodes."""

    backend: Literal["auto", "inprocess", "openai"] = "auto"
    """`inprocess` runs CTranslate2 here; `openai` calls the server at `url`; `auto` is `openai` where a url is set."""
    url: pydantic.HttpUrl | None = None
    """An OpenAI-compatible transcription server; audio goes there only for tenants whose policy lists its host."""
    api_key: pydantic.SecretStr | None = None
    """Bearer token for `url`."""
    model: str | None = None
    """A name that faster-whisper knows, or a path; none: `base` on a CPU, `large-v3-turbo` on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the engine runs."""
    precision: str = "auto"
    """CTranslate2 compute type; `auto` is `int8` on a CPU and `int8_float16` on a GPU."""
    threads: Annotated[int, pydantic.Field(ge=0, le=256)] = 0
    """CPU threads of the engine; 0: as many as this process may use."""
    workers: Annotated[int, pydantic.Field(ge=0, le=64)] = 0
    """Batches that run at once, sharing the threads; 0: on a CPU one for each thread up to four, on a GPU one."""
    language: str | None = None
    """Language of every recording whose event names none; none: detected per window."""
    beam_size: Annotated[int, pydantic.Field(ge=1, le=16)] = 1
    """Beams; 1 is greedy. 5 reads the decoder's weights five times as often."""
    max_batch_windows: Annotated[int, pydantic.Field(ge=1, le=256)] = 8
    """Windows in one engine call."""
    max_wait_s: Annotated[float, pydantic.Field(ge=0, le=60)] = 0.05
    """Seconds that a window may wait for others to share its batch."""
    max_windows_in_flight: Annotated[int, pydantic.Field(ge=1, le=4096)] = 32
    """Windows submitted and not yet answered, over all calls: 32 windows of 30 s are 31 MB."""
    temperatures: tuple[Annotated[float, pydantic.Field(ge=0, le=1)], ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Temperatures tried in turn until a window's result passes the quality measures."""
    trim_padding: bool = False
    """Pad short windows to 10, 15, 20 or 25 s, not 30: up to 3 times as fast on a CPU; try it on your own calls
    first, since models differ in how they bear it. What fails the quality measures is decoded again, padded in full."""
    request_timeout_s: PositiveSeconds = 120.0
    """Seconds for one request to `url`."""

    @pydantic.field_validator("language", mode="before")
    @classmethod
    def _auto_is_none(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.strip().lower() in _AUTO_LANGUAGE else value

    @pydantic.field_validator("temperatures")
    @classmethod
    def _one_at_least(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("is empty; it needs at least one temperature, usually 0.0")
        return value


class Api(Section):
    """The REST API."""

    host: str = "127.0.0.1"
    """Address to bind; anything but loopback wants `keys`."""
    port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 8400
    """Port to bind; 0 takes a free one."""
    keys: dict[str, pydantic.SecretStr] = pydantic.Field(default_factory=dict)
    """API keys by tenant. With any key set, every request must carry one."""
    max_upload_bytes: Annotated[int, pydantic.Field(ge=1)] = 2 * 1024**3
    """Bytes of one uploaded recording."""

    @pydantic.field_validator("keys")
    @classmethod
    def _one_key_one_tenant(cls, keys: dict[str, pydantic.SecretStr]) -> dict[str, pydantic.SecretStr]:
        plain = [key.get_secret_value().strip() for key in keys.values()]
        if not all(plain):
            raise ValueError("holds an empty key; leave the tenant out, or give it one")
        if len(plain) != len(set(plain)):
            raise ValueError("gives two tenants the same key")
        return keys


class Settings(Section):
    """Every setting of the one-process service."""

    data: Data = Data()
    intake: Intake = Intake()
    recording: Recording = Recording()
    speech: Speech = Speech()
    api: Api = Api()
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
    if isinstance(speech, Mapping) and speech.get("backend") == "openai" and not speech.get("url"):
        found.append("speech.url: backend is openai, which needs the address of a server")
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
        if field not in known:
            problems.append(f"{name}: no such setting")
            continue
        layer.setdefault(section, {})[field] = _parse_value(env[name], scalar=_is_scalar(known[field].annotation))
    return layer


def _is_section(annotation: Any) -> TypeGuard[type[Section]]:
    return isinstance(annotation, type) and issubclass(annotation, Section)


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
