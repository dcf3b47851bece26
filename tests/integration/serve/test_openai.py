"""The OpenAI-compatible client against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import http.server
import io
import json
import threading
import typing
import wave
from collections.abc import Iterator

import pytest

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve.clients import openai

GOOD = {
    "text": " hello there",
    "language": "english",
    "segments": [{"start": 0.0, "end": 0.8, "text": " hello there", "avg_logprob": -0.3, "no_speech_prob": 0.02}],
    "words": [{"word": "hello", "start": 0.1, "end": 0.4}, {"word": "there", "start": 0.4, "end": 9.9}],
}


class Server(http.server.ThreadingHTTPServer):
    """Answers every request with what it was told, and keeps what it was sent."""

    reply: typing.ClassVar[tuple[int, dict[str, str], bytes]]
    requests: typing.ClassVar[list[tuple[str, dict[str, str], bytes]]]


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        """Keep the request and answer."""
        server = typing.cast(Server, self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.requests.append((self.path, dict(self.headers), body))
        status, headers, payload = server.reply
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(payload))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a free port."""
    found = Server(("127.0.0.1", 0), Handler)
    Server.requests = []
    Server.reply = (200, {}, json.dumps(GOOD).encode())
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def ask(server: Server, path: str = "", **options: object) -> windows.WindowResult:
    """Transcribe one second."""

    async def run() -> windows.WindowResult:
        backend = openai.OpenAIBackend(
            f"http://127.0.0.1:{server.server_port}{path}",
            model="whisper-1",
            api_key="t0ken",
            max_in_flight=2,
            request_timeout_s=5,
        )
        await backend.start()
        try:
            return await backend.transcribe(
                windows.Window("w", "acme", bytes(32_000), windows.Options(**options))  # type: ignore[arg-type]
            )
        finally:
            await backend.close()

    return asyncio.run(run())


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/audio/transcriptions"])
def test_a_window_goes_as_a_wav_with_its_options(server: Server, path: str) -> None:
    """However the address is written."""
    result = ask(server, path, language="en", prompt="hello anna")

    (at, headers, body) = Server.requests[0]
    assert at == "/v1/audio/transcriptions"
    assert headers["Authorization"] == "Bearer t0ken"
    assert b"hello anna" in body
    audio = body[body.index(b"RIFF") :]
    with wave.open(io.BytesIO(audio)) as file:
        assert (1, 2, 16_000, 16_000) == (
            file.getnchannels(),
            file.getsampwidth(),
            file.getframerate(),
            file.getnframes(),
        )
    assert result.text == " hello there"
    assert result.language == "en"
    assert result.avg_logprob == -0.3


def test_times_beyond_the_window_are_clamped(server: Server) -> None:
    """A server that counts on past the end is not believed."""
    words = ask(server).words

    assert words is not None
    assert words[-1].end_s == 1.0


def test_what_a_server_does_not_tell_is_none(server: Server) -> None:
    """Plain JSON has a text and nothing else; nothing is made up."""
    Server.reply = (200, {}, b'{"text": "hello"}')

    result = ask(server)

    assert (None, None, None, None) == (
        result.words,
        result.avg_logprob,
        result.no_speech_probability,
        result.language,
    )


def test_a_server_that_has_no_times_is_asked_for_none(server: Server) -> None:
    """As vLLM refuses verbose JSON for some models: the same window in plain JSON, and from then on nothing else."""

    class NoTimes(Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append((self.path, {}, body))
            told = b"Currently do not support verbose_json" if b"verbose_json" in body else b'{"text": "hello"}'
            self.send_response(400 if b"verbose_json" in body else 200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

    server.RequestHandlerClass = NoTimes

    async def run() -> None:
        url = f"http://127.0.0.1:{server.server_port}"
        backend = openai.OpenAIBackend(url, model="qwen", api_key=None, max_in_flight=2, request_timeout_s=5)
        assert backend.info.capabilities.word_times
        for _ in range(3):
            result = await backend.transcribe(windows.Window("w", "acme", bytes(32_000)))
            assert ("hello", None) == (result.text, result.words)
        can = backend.info.capabilities
        assert (False, False, False) == (can.word_times, can.logprobs, can.no_speech)
        await backend.close()

    asyncio.run(run())
    assert [True, False, False, False] == [b"verbose_json" in body for _, _, body in server.requests]


@pytest.mark.parametrize(("told", "code"), [("english", "en"), ("Japanese", "ja"), ("de", "de"), ("mandarin", "zh")])
def test_languages_are_known_by_name_and_by_code(server: Server, told: str, code: str) -> None:
    """OpenAI says `english`, others `en`."""
    Server.reply = (200, {}, json.dumps({**GOOD, "language": told}).encode())

    assert code == ask(server).language


@pytest.mark.parametrize(
    ("status", "family", "reason"),
    [
        (429, errors.TransientError, outcomes.Reason.BACKEND_BUSY),
        (503, errors.TransientError, outcomes.Reason.BACKEND_UNAVAILABLE),
        (400, errors.PermanentError, outcomes.Reason.BACKEND_REFUSED),
        (302, errors.PermanentError, outcomes.Reason.BACKEND_REFUSED),
    ],
)
def test_refusals_are_told_apart(
    server: Server, status: int, family: type[errors.AftercallError], reason: outcomes.Reason
) -> None:
    """What may pass is tried again later; what will not is an outcome. A redirect is never followed."""
    Server.reply = (status, {"Retry-After": "7", "Location": "http://127.0.0.1:9/"}, b"{}")

    with pytest.raises(family) as caught:
        ask(server)

    assert caught.value.reason is reason  # type: ignore[attr-defined]
    if isinstance(caught.value, errors.TransientError):
        assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize("payload", [b"", b"<html>", b"[]", b'{"text": 5}'])
def test_nonsense_is_an_error_and_not_a_transcript(server: Server, payload: bytes) -> None:
    """A proxy's page is no text."""
    Server.reply = (200, {}, payload)

    with pytest.raises(errors.AftercallError):
        ask(server)


def test_a_server_that_is_down_is_tried_later() -> None:
    """Nothing is concluded about the recording."""

    async def run() -> None:
        backend = openai.OpenAIBackend(
            "http://127.0.0.1:9", model=None, api_key=None, max_in_flight=1, request_timeout_s=2
        )
        try:
            await backend.transcribe(windows.Window("w", "acme", bytes(3200)))
        finally:
            await backend.close()

    with pytest.raises(errors.TransientError, match="cannot be reached"):
        asyncio.run(run())
