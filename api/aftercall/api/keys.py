"""Whose request it is: by API key, one tenant each; without keys, anyone on this machine and nobody else."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

import pydantic

from aftercall.contracts import settings


def tenant_of(headers: Mapping[str, str], keys: Mapping[str, pydantic.SecretStr]) -> str | None:
    """Return the tenant whose key the request carries; None when it carries none that is known.

    The key stands in `Authorization: Bearer …` or else in `X-API-Key`. Digests of every key are compared in full, so
    that the time taken tells neither a key's length nor how much of it was right.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        given = headers.get("x-api-key", "")
    # Header values are bytes read as latin-1; a key with other letters is meant as UTF-8.
    offered = given.strip(" \t").encode("latin-1")
    if not offered:
        return None
    digest, found = hashlib.sha256(offered).digest(), None
    for tenant, key in keys.items():
        if hmac.compare_digest(digest, hashlib.sha256(key.get_secret_value().encode()).digest()):
            found = tenant
    return found


def is_local(headers: Mapping[str, str]) -> bool:
    """Say whether a request without a key was meant for this machine, and not sent by a page from elsewhere.

    A page can make a browser send requests here under a name that it makes point at 127.0.0.1 (DNS rebinding), or from
    its own origin; both show in headers that a page cannot forge. An origin on this machine but on another port is
    another server's page, so the origin must be the very host and port that the request is for.
    """
    host = headers.get("host", "").lower()
    if _name(f"//{host}") not in settings.LOOPBACK:
        return False
    origin = headers.get("origin")
    return origin is None or origin.lower() in {f"http://{host}", f"https://{host}"}


def is_loopback(peer: str | None) -> bool:
    """Say whether the other end of a connection is on this machine."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
