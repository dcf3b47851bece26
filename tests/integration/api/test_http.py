"""The API on a real socket: what only shows there."""

from __future__ import annotations

import asyncio
import http.client
import pathlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import doubles
import fastapi
import pytest

from aftercall.api import server
from aftercall.contracts import errors, sections

Serve = Callable[..., Any]


def until(holds: Callable[[], bool]) -> bool:
    """Wait for something that another process or thread does, for a while."""
    deadline = time.monotonic() + 20
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def exchange(running: Any, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the server closes."""
    with socket.create_connection((running.host, running.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def raw(method: str, target: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    """Write a request head by hand."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]).encode()


def files(running: Any) -> list[pathlib.Path]:
    """Return every file below the folder of uploads."""
    return [path for path in (running.service.data / "recordings").rglob("*") if path.is_file()]


def test_a_call_goes_from_upload_to_transcript(serve: Serve) -> None:
    """Over the real queue and stores: queued, completed, read in lines."""
    running = serve()
    with running.client() as client:
        first = client.put("/v1/recordings/acme/c1?channel=agent:Alice", content=b"RIFF")
        id_ = first.json()["transcriptionId"]
        waiting = client.get(f"/v1/transcriptions/{id_}").json()
        assert id_ == running.complete(
            lambda id_: doubles.made(texts=("hello there",)).model_copy(update={"transcription_id": id_})
        )
        done = client.get(first.headers["location"]).json()
        again = client.post("/v1/recordings/c1/transcribe", json={"language": "en"})

    assert ("queued", 0, None) == (waiting["status"], waiting["queuePosition"], waiting["text"])
    assert ("completed", "[00:00:00] Alice: hello there\n", 1) == (done["status"], done["text"], done["segmentCount"])
    assert (20.0, 1, 10.0) == (done["audioSeconds"], done["attempts"], done["duration"])
    assert (202, "queued") == (again.status_code, again.json()["status"])
    assert again.json()["transcriptionId"] != id_


def test_an_upload_streams_to_disk_and_one_that_breaks_off_leaves_nothing(serve: Serve) -> None:
    """It lies on disk while the rest is still to come; once the client is gone, nothing does, and nothing is queued."""
    running = serve()
    size_bytes = 8 << 20
    with socket.create_connection((running.host, running.port), timeout=20) as connection:
        connection.sendall(
            raw("PUT", "/v1/recordings/acme/c1", f"Content-Length: {2 * size_bytes}") + bytes(size_bytes)
        )

        assert until(lambda: sum(path.stat().st_size for path in files(running)) >= size_bytes - (1 << 20))
        assert [".part"] == [path.suffix for path in files(running)]
    assert until(lambda: files(running) == [])
    with running.client() as client:
        assert {"transcriptions": [], "next": None} == client.get("/v1/transcriptions").json()
        assert 201 == client.put("/v1/recordings/acme/c1", content=bytes(10)).status_code


def test_a_recording_too_large_by_its_own_word_is_refused_before_it_is_sent(serve: Serve) -> None:
    """A client that waits for `100 Continue` gets 413 instead and sends nothing."""
    running = serve(max_upload_bytes=1000)

    answer = exchange(running, raw("PUT", "/v1/recordings/acme/c1", "Content-Length: 1001", "Expect: 100-continue"))

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"1000 bytes" in answer


def test_a_recording_too_large_by_its_length_is_cut_off(serve: Serve) -> None:
    """Chunked, so that nobody knows before; nothing of it stays."""
    running = serve(max_upload_bytes=1000)
    sent = []

    def body() -> Iterator[bytes]:
        for _ in range(64):
            sent.append(1)
            yield bytes(100)

    with running.client() as client:
        answer = client.put("/v1/recordings/acme/c1", content=body())

    assert 413 == answer.status_code
    assert [] == files(running)


def test_head_answers_like_get_without_a_body(serve: Serve) -> None:
    """As HTTP has it."""
    running = serve()
    connection = http.client.HTTPConnection(running.host, running.port, timeout=20)
    connection.request("GET", "/healthz")
    got = connection.getresponse()
    body = got.read()
    connection.request("HEAD", "/healthz")
    asked = connection.getresponse()

    assert (200, str(len(body)), b"") == (asked.status, asked.headers["content-length"], asked.read())
    connection.close()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/recordings/acme/../globex/c1", 404),
        ("/v1/recordings/acme/..", 422),
        ("/v1/recordings/acme/%2e%2e", 422),
        ("/v1/recordings/acme/..%2fglobex", 400),
        ("/v1/recordings/acme/a%00b", 422),
        ("/v1/recordings/acme/" + "x" * 1100, 422),
        ("//v1/recordings/acme/c1", 404),
        ("/v1/recordings/acme/c1/", 404),
    ],
)
def test_an_address_is_taken_as_it_is_sent(serve: Serve, target: str, status: int) -> None:
    """No path is resolved, on no layer; nothing is kept."""
    running = serve()

    answer = exchange(running, raw("PUT", target, "Content-Length: 1") + b"x")

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in answer
    assert [] == files(running)


@pytest.mark.parametrize(
    "request_",
    [
        raw("GET", "/healthz", "X-Long: " + "x" * 40_000)[:-4],
        b"GET /" + b"x" * 40_000,
        raw("GET", "/v1/calls/\x00"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["headers without end", "address without end", "NUL", "TLS", "no length"],
)
def test_what_is_no_request_is_refused_and_the_service_goes_on(serve: Serve, request_: bytes) -> None:
    """Nothing is gathered without limit."""
    running = serve()

    assert exchange(running, request_).startswith(b"HTTP/1.1 400 ")
    with running.client() as client:
        assert 200 == client.get("/healthz").status_code


def test_a_page_from_elsewhere_gets_nothing(serve: Serve) -> None:
    """By a name that it rebound to this machine."""
    running = serve()

    answer = exchange(running, raw("GET", "/v1/transcriptions", host=f"evil.example:{running.port}"))

    assert answer.startswith(b"HTTP/1.1 403 ")


def test_keys_keep_tenants_apart_in_the_real_queue(serve: Serve) -> None:
    """One tenant's call is not found by another's key, nor transcribed."""
    running = serve(keys={"acme": "a", "globex": "b"})
    with running.client("a") as acme, running.client("b") as globex, running.client() as nobody:
        id_ = acme.put("/v1/recordings/acme/c1", content=b"RIFF").json()["transcriptionId"]

        assert [id_] == [one["transcriptionId"] for one in acme.get("/v1/calls/c1").json()["transcriptions"]]
        for path in (f"/v1/transcriptions/{id_}", f"/v1/transcriptions/{id_}/transcript", "/v1/calls/c1"):
            assert 404 == globex.get(path).status_code
            assert 401 == nobody.get(path).status_code
        assert 404 == globex.post("/v1/recordings/c1/transcribe").status_code
        assert [] == globex.get("/v1/transcriptions").json()["transcriptions"]
        assert 403 == globex.put("/v1/recordings/acme/c1", content=b"RIFF").status_code


def test_a_request_that_is_open_when_the_service_stops_is_answered() -> None:
    """Stopping lets it end; new ones are not taken."""
    import fastapi

    app, began = fastapi.FastAPI(), asyncio.Event()

    @app.get("/")
    async def slow() -> str:
        began.set()
        await asyncio.sleep(0.2)
        return "done"

    async def stop_in_the_middle() -> bytes:
        bound, stopping = server.listen("127.0.0.1", 0), asyncio.Event()
        port = bound.getsockname()[1]
        serving = asyncio.create_task(server.serve(app, bound, stopping))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw("GET", "/"))
        await began.wait()
        stopping.set()
        answer = await reader.read()
        writer.close()
        await serving
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)
        return answer

    answer = asyncio.run(stop_in_the_middle())

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'"done"')


def test_from_the_moment_it_listens_nobody_is_refused() -> None:
    """Whoever is told the port may connect before the first request is served."""
    with server.listen("127.0.0.1", 0) as bound:
        host, port = bound.getsockname()
        with socket.create_connection((host, port), timeout=5) as connection:
            assert port > 0
            assert connection.getpeername() == (host, port)


def test_an_address_that_cannot_be_bound_is_told_by_name() -> None:
    """In use, or not of this machine; and where it is set."""
    with server.listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        for host, at, setting in (
            ("127.0.0.1", port, "operator.port"),
            ("192.0.2.1", 0, "operator.host"),
            ("no.such.host.invalid", 0, "operator.host"),
        ):
            with pytest.raises(errors.ConfigurationError, match=rf"^{setting}: cannot listen on {host} port {at}: "):
                server.listen(host, at, section="operator")


async def test_two_processes_of_one_host_want_two_ports_for_their_metrics() -> None:
    """As where one settings file is given to both."""
    app = fastapi.FastAPI()
    with server.listen("127.0.0.1", 0) as bound:
        configured = sections.Telemetry(port=bound.getsockname()[1])
        with pytest.raises(errors.ConfigurationError, match=r"^telemetry\.port: .*: Address already in use$"):
            async with server.alongside(configured, app):
                """Nothing is served."""
