"""A tenant's endpoint as it is now: its address and its secrets, of its policy and of the files that this names."""

from __future__ import annotations

import dataclasses
import pathlib

from aftercall.consumers.publish import webhook
from aftercall.contracts import errors, tenants


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a tenant is told, and the keys that sign."""

    url: str
    secrets: tuple[bytes, ...]


def read(hook: tenants.Webhook) -> Endpoint:
    """Read the files of a webhook, which may be replaced at any time.

    A file of a secret that is not there is passed over as long as another is: a Secret has its second key only during
    a rotation. Raises `errors.ConfigurationError` that names the file, never what it holds.
    """
    found = [(file, text) for file in hook.secret_files if (text := _read(file)) is not None]
    if not found:
        raise errors.ConfigurationError(f"webhook secret: none of {', '.join(map(str, hook.secret_files))} is there")
    return Endpoint(_url(hook), tuple(_secret(file, text) for file, text in found))


def _url(hook: tenants.Webhook) -> str:
    if hook.url_file is None:
        return str(hook.url)
    text = _read(hook.url_file)
    if text is None:
        raise errors.ConfigurationError(f"webhook address: {hook.url_file} is not there")
    try:
        return tenants.parse_url(text)
    except ValueError as exc:
        raise errors.ConfigurationError(f"webhook address: {hook.url_file}: {exc}") from exc


def _secret(file: pathlib.Path, text: str) -> bytes:
    try:
        return webhook.parse_secret(text)
    except ValueError as exc:
        raise errors.ConfigurationError(f"webhook secret: {file}: {exc}") from exc


def _read(file: pathlib.Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise errors.ConfigurationError(f"webhook: {file}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise errors.ConfigurationError(f"webhook: {file} is no text") from exc
