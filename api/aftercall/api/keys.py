"""Whose request it is: by API key, one tenant each; without keys, anyone on this machine and nobody else."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

import pydantic

from aftercall.contracts import settings


def tenant_of(headers: Mapping[str, str], keys: Mapping[str, pydantic.SecretStr]) -> str | None:
    """Return the tenant whose key the request carries; None when it carries none that is known.

    Every key is compared in full, so that the time taken tells nothing.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        given = headers.get("x-api-key", "")
    found = None
    for tenant, key in keys.items():
        if hmac.compare_digest(given.strip().encode(), key.get_secret_value().encode()):
            found = tenant
    return found


def is_local(headers: Mapping[str, str]) -> bool:
    """Say whether a request without a key was meant for this machine, and not sent by a page from elsewhere.

    A page can make a browser send requests here under a name that it makes point at 127.0.0.1 (DNS rebinding), or from
    its own origin; both show in headers that a page cannot forge.
    """
    if _host(f"//{headers.get('host', '')}") not in settings.LOOPBACK:
        return False
    origin = headers.get("origin")
    return origin is None or _host(origin) in settings.LOOPBACK


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
