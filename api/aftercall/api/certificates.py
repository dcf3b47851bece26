"""Keep a server's certificate the one that its files hold: they are replaced long before it ends."""

from __future__ import annotations

import asyncio
import logging
import pathlib
import ssl

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Seconds between looks; certificates are renewed days before they end."""


async def follow(context: ssl.SSLContext, certificate: pathlib.Path, key: pathlib.Path, *, look_s: float) -> None:
    """Look for other files until cancelled; connections that are made from then on get the new certificate.

    Files that do not belong together, or not yet, leave the old one in place, and are looked at again.
    """
    taken = await asyncio.to_thread(_read, certificate, key)
    while True:
        await asyncio.sleep(look_s)
        try:
            there = await asyncio.to_thread(_read, certificate, key)
            if there == taken:
                continue
            # A context of which the certificate is taken and the key is not would serve nobody.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
            context.load_cert_chain(certificate, key)
        except OSError as exc:  # ssl.SSLError is one
            log.warning("certificate not taken up", extra={"file": str(certificate), "error": str(exc)})
            continue
        taken = there
        log.info("certificate taken up", extra={"file": str(certificate)})


def _read(*files: pathlib.Path) -> list[bytes]:
    return [each.read_bytes() for each in files]
