"""Request bodies: in time, of a size, and in a form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import fastapi
import pytest
from starlette import types

from aftercall.api import bodies, problems, views


def request(body: list[bytes], headers: dict[str, str] | None = None) -> fastapi.Request:
    """Build a request whose body comes in these chunks, and counts those asked for."""
    left = list(body)

    async def receive() -> types.Message:
        assert left, "asked for more than there is"
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return fastapi.Request({"type": "http", "method": "PUT", "headers": raw}, receive)


async def refused(body: list[bytes]) -> problems.ProblemError:
    """Return the problem that a JSON body gives."""
    with pytest.raises(problems.ProblemError) as caught:
        await bodies.read_json(request(body), views.TranscribeRequest)
    return caught.value


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": "101"}, 413),
        ({"Content-Length": "9" * 40}, 413),
        ({"Content-Range": "bytes 0-9/100"}, 400),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_a_recording_that_cannot_be_taken_is_refused_unread(headers: dict[str, str], status: int) -> None:
    """A part of one, a packed one, one that says it is too large."""
    with pytest.raises(problems.ProblemError) as caught:
        bodies.check_whole(request([], headers), max_bytes=100)

    assert status == caught.value.status


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "100"}, {"Content-Encoding": "Identity"}])
def test_a_recording_that_may_be_taken_passes(headers: dict[str, str]) -> None:
    """Also one of unknown length, which is counted as it comes."""
    bodies.check_whole(request([], headers), max_bytes=100)


async def test_a_body_is_passed_on_chunk_by_chunk() -> None:
    """Nothing is gathered on the way: a chunk is out before the next is asked for."""
    asked = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        for at in range(3):
            asked = at + 1
            yield b"x" * at

    seen = [(asked, chunk) async for chunk in bodies.steadily(body())]

    assert [(1, b""), (2, b"x"), (3, b"xx")] == seen


async def test_a_body_that_stops_coming_ends_the_request() -> None:
    """A client that went to sleep holds nothing open for ever."""

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    coming = bodies.steadily(body(), stall_s=0.01)
    first = await anext(coming)
    with pytest.raises(problems.ProblemError) as caught:
        await anext(coming)

    assert (b"first", 408) == (first, caught.value.status)


@pytest.mark.parametrize("body", [[b""], [b" \r\n"], [b"{}"], [b'{"lang', b'uage": null}']])
async def test_nothing_asked_is_every_default(body: list[bytes]) -> None:
    """No body, an empty one, and one that says so."""
    assert views.TranscribeRequest() == await bodies.read_json(request(body), views.TranscribeRequest)


@pytest.mark.parametrize(
    "body",
    [b"{not json", b"language=en", b"\xff\xfe{", b"[]", b'"en"', b"null", b'{"language": NaN}', b"[" * 60_000, b"\x00"],
)
async def test_what_is_no_json_object_is_a_bad_request(body: bytes) -> None:
    """One sentence, whatever the parser stumbled on."""
    problem = await refused([body])

    assert 400 == problem.status
    assert "the request body is not" in problem.detail


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"langauge": "en"}', "langauge is not a name that this request knows"),
        (b'{"language": 5}', "language: Input should be a valid string"),
        (b'{"language": "E"}', "language: "),
        (b'{"language": "english please"}', "language: "),
        (b'{"language": "\\ud800"}', "language: "),
        (b'{"\\ud800": 1}', "unicode"),
    ],
)
async def test_json_that_asks_for_something_else_is_told_the_field(body: bytes, told: str) -> None:
    """It is JSON, but not this request."""
    problem = await refused([body])

    assert 422 == problem.status
    assert told in problem.detail


async def test_a_json_body_is_never_read_beyond_its_limit() -> None:
    """The rest of a body without an end is not asked for."""
    chunk = b" " * (bodies.MAX_JSON_BYTES // 2)

    assert 413 == (await refused([chunk, chunk, b" ", b"never asked for"])).status
    assert views.TranscribeRequest() == await bodies.read_json(request([chunk, chunk]), views.TranscribeRequest)
