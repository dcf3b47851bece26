"""Which addresses on the network a stranger may make us ask: public ones, and nothing that only looks public.

`ipaddress.is_global` is no guard: it takes 64:ff9b::a9fe:a9fe (NAT64 of a metadata service) and 2002:a9fe:a9fe::1 (6to4
of the same) for global, and 192.0.0.8 and 168.63.129.16 too.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "100.64.0.0/10",  # carriers' NAT; 100.100.100.200 is a metadata service
        "168.63.129.16/32",  # Azure's host
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # local NAT64
        "100::/64",  # discard
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # old site-local
    )
)


class RefusedAddressError(ValueError):
    """A URL or an address that must not be asked; the message says why, without repeating credentials."""


def check(address: Address, *, allowed: Sequence[Network] = ()) -> None:
    """Raise `RefusedAddressError` unless an address is public or in a network that was allowed on purpose."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed):
        return
    if not address.is_global or address.is_multicast or any(address in network for network in _REFUSED):
        raise RefusedAddressError(f"{address} is not a public address")


def parse_url(text: str) -> urllib.parse.SplitResult:
    """Return a URL that may be asked as far as its text tells; its host's addresses are checked when it connects."""
    if any(ord(char) <= 32 or ord(char) == 127 for char in text):
        raise RefusedAddressError("the address holds a space or a control character")
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise RefusedAddressError(f"the address cannot be read: {exc}") from exc
    if parts.scheme not in {"http", "https"}:
        raise RefusedAddressError(f"the address is {parts.scheme or 'without a scheme'}, not http or https")
    if parts.username is not None or parts.password is not None:
        raise RefusedAddressError("the address carries credentials")
    if not parts.hostname or "\\" in text:
        raise RefusedAddressError("the address names no host")
    if port == 0:
        raise RefusedAddressError("the address names port 0")
    return parts
