"""A certificate that is replaced while a server runs: over real connections."""

from __future__ import annotations

import asyncio
import os
import pathlib
import ssl
from collections.abc import Awaitable, Callable

import fastapi
import pytest
from peers import pki

from aftercall.api import server

HOST = "127.0.0.1"


def put(folder: pathlib.Path, certificate: pathlib.Path, key: pathlib.Path) -> None:
    """Replace the served files at once, as a kubelet does."""
    for name, file in (("tls.crt", certificate), ("tls.key", key)):
        (folder / f"{name}.new").write_bytes(file.read_bytes())
        os.replace(folder / f"{name}.new", folder / name)


async def served(port: int, authority: pki.Authority) -> bytes:
    """Return the certificate that a new connection is shown."""
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    _, writer = await asyncio.open_connection(HOST, port, ssl=trust)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(shown)


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Return once it is so, within ten seconds."""
    for _ in range(500):
        if await is_so():
            return
        await asyncio.sleep(0.02)
    pytest.fail("is not so after 10 s")


@pytest.mark.timeout(30)
async def test_a_replaced_certificate_is_served_and_half_of_one_is_not(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that is not the certificate's changes nothing; the pair does."""
    authority = pki.Authority(tmp_path / "pki")
    first, second = (authority.issue(name, hosts=[HOST]) for name in ("first", "second"))
    put(tmp_path, *first)
    listening = server.listen(HOST, 0)
    port, stopping = listening.getsockname()[1], asyncio.Event()
    serving = asyncio.create_task(
        server.serve(
            fastapi.FastAPI(),
            listening,
            stopping,
            certificate=tmp_path / "tls.crt",
            key=tmp_path / "tls.key",
            look_s=0.02,
        )
    )

    async def refused() -> bool:
        return "certificate not taken up" in caplog.messages

    async def renewed() -> bool:
        return ssl.PEM_cert_to_DER_cert(second[0].read_text()) == await served(port, authority)

    try:
        begun = await served(port, authority)
        put(tmp_path, second[0], first[1])
        await eventually(refused)
        assert begun == await served(port, authority)

        put(tmp_path, *second)
        await eventually(renewed)
    finally:
        stopping.set()
        await serving
