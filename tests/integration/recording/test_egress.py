"""Fetching what strangers name: public addresses only, however they are written, resolved, or reached."""

from __future__ import annotations

import asyncio
import dataclasses
import http.server
import ipaddress
import pathlib
import threading
from collections.abc import Iterator

import pytest

from aftercall.consumers import addresses, egress
from aftercall.consumers.recording import fetch
from aftercall.contracts import errors, outcomes


@dataclasses.dataclass
class Canary:
    """A web server on loopback that nobody may reach, and what it was asked."""

    port: int
    asked: list[str]


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A server that counts, and redirects where `/to/…` says."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
                self.end_headers()
                return
            body = b"RIFF" * 10
            self.send_response({"/gone": 404, "/busy": 503, "/secret": 403}.get(self.path, 200))
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"e1"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Canary(server.server_address[1], asked)
    server.shutdown()
    thread.join()
    server.server_close()


HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.1",
    "017700000001",
    "127.0.0.1.",
    "127.255.255.254",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "0.0.0.0",
    "0",
    "0x0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[100::1]",
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "168.63.129.16",
    "100.100.100.200",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "1.0.0.127.in-addr.example.",
    "\N{FULLWIDTH DIGIT ONE}27.0.0.1",
    "\N{CIRCLED DIGIT ONE}27.0.0.1",
]
URLS = [
    *(f"http://{host}:PORT/x.wav" for host in HOSTS),
    "https://127.0.0.1:PORT/x.wav",
    "http://user:password@127.0.0.1:PORT/x",
    "http://example.com@127.0.0.1:PORT/x",
    "http://127.0.0.1:PORT#@example.com/",
    "http://127.0.0.1:PORT\\@example.com/",
    "http://example.com\\@127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/x",
    "http://127.0.0.1:0/x",
    "http://127.0.0.1:99999/x",
    "http://\t127.0.0.1:PORT/x",
    "http://127.0.0.1 :PORT/x",
    "gopher://127.0.0.1:PORT/x",
    "ftp://127.0.0.1:PORT/x",
    "file:///etc/passwd",
    "//127.0.0.1:PORT/x",
    "http://",
]


async def get(uri: str, into: pathlib.Path, *, allowed: tuple[str, ...] = (), resolver: object = None) -> fetch.Fetched:
    """Fetch through the guard."""
    networks = [ipaddress.ip_network(text) for text in allowed]
    async with egress.client(timeout_s=2, allowed=networks, follow_redirects=True) as web:
        fetcher = fetch.Fetcher(folders=[], max_size_bytes=100, web=web)
        return await fetcher.fetch(uri, into, tenant="acme")


def test_no_form_of_an_address_reaches_inside(canary: Canary, tmp_path: pathlib.Path) -> None:
    """Each is refused by name, or has no address at all; nothing arrives, and nothing is kept."""
    assert len(URLS) >= 60
    for url in URLS:
        with pytest.raises((errors.RejectedError, errors.TransientError)) as caught:
            asyncio.run(get(url.replace("PORT", str(canary.port)), tmp_path / "x"))
        if isinstance(caught.value, errors.TransientError):  # a name without an address may get one
            assert "ConnectError" in str(caught.value), url
        assert not (tmp_path / "x").exists()
    assert [] == canary.asked


def test_a_name_that_changes_its_address_changes_nothing(
    canary: Canary, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolved once a connection; a name with one good and one bad address is refused whole."""
    answers = [["93.184.216.34", "127.0.0.1"], ["127.0.0.1"], ["93.184.216.34"]]
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    monkeypatch.setattr(egress, "resolve", resolve)
    for _ in range(2):
        with pytest.raises(errors.RejectedError):
            asyncio.run(get(f"http://rebind.example:{canary.port}/x", tmp_path / "x"))

    assert ["rebind.example"] * 2 == asked
    assert [] == canary.asked


def test_every_redirect_is_checked(canary: Canary, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step may be allowed; the second is looked at anew, by its address and by its scheme."""
    inside = f"http://127.0.0.1:{canary.port}"

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "127.0.0.1" else ["169.254.169.254"]

    monkeypatch.setattr(egress, "resolve", resolve)
    for target in (
        "http://metadata.example/x",
        "http://[::1]:1/x",
        "file:///etc/passwd",
        f"{inside}/to/{inside}/to/gopher://x/",
    ):
        with pytest.raises(errors.RejectedError):
            asyncio.run(get(f"{inside}/to/{target}", tmp_path / "x", allowed=("127.0.0.1/32",)))
    loop = f"{inside}/to//to/"
    with pytest.raises(errors.RejectedError):
        asyncio.run(get(f"{loop}{'/to/' * 20}", tmp_path / "x", allowed=("127.0.0.1/32",)))


def test_what_is_allowed_on_purpose_is_fetched(canary: Canary, tmp_path: pathlib.Path) -> None:
    """With its size limit, and with every answer of a server understood."""
    inside = f"http://127.0.0.1:{canary.port}"
    fetched = asyncio.run(get(f"{inside}/x.wav", tmp_path / "x", allowed=("127.0.0.0/8",)))
    assert b"RIFF" * 10 == fetched.path.read_bytes()

    for path, kind, reason in (
        ("/gone", errors.RejectedError, outcomes.Reason.NOT_FOUND),
        ("/secret", errors.RejectedError, outcomes.Reason.FORBIDDEN_SOURCE),
        ("/busy", errors.TransientError, outcomes.Reason.STORE_UNAVAILABLE),
    ):
        with pytest.raises(kind) as caught:
            asyncio.run(get(inside + path, tmp_path / "y", allowed=("127.0.0.0/8",)))
        assert reason is caught.value.reason  # type: ignore[attr-defined]
        assert not (tmp_path / "y").exists()


def test_a_version_is_asked_for(canary: Canary) -> None:
    """By the ETag."""

    async def ask() -> tuple[str, str]:
        async with egress.client(timeout_s=2, allowed=[ipaddress.ip_network("127.0.0.0/8")]) as web:
            fetcher = fetch.Fetcher(folders=[], max_size_bytes=100, web=web)
            return await fetcher.pin(f"http://127.0.0.1:{canary.port}/x", tenant="acme")

    assert ("e1", f"http://127.0.0.1:{canary.port}/x") == asyncio.run(ask())


@pytest.mark.parametrize("text", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_pass(text: str) -> None:
    """The guard is not shut."""
    addresses.check(ipaddress.ip_address(text))
