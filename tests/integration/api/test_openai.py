"""OpenAI's own client against the served API, unchanged: a real model where words count, a fake where waiting does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import Any

import jiwer
import material
import numpy as np
import openai
import pytest

from aftercall.cli import speech
from aftercall.consumers import observer
from aftercall.contracts import settings, windows
from aftercall.serve import testing

CALL = material.CALLS / "call-1.opus"
SAID = " ".join(
    turn["text"] for turn in sorted(material.reference(CALL)["turns"], key=lambda turn: float(turn["start_s"]))
)


class Held(testing.FakeBackend):
    """Answers once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()

    async def transcribe(self, window: windows.Window) -> windows.WindowResult:
        """Wait, then answer."""
        await self.free.wait()
        return await super().transcribe(window)


@pytest.fixture
def real(serve: Callable[..., Any]) -> Any:
    """Serve the test model, with keys for two tenants."""
    configured = settings.load({}, overrides={"speech": {"model": str(material.MODEL)}})
    running = serve(
        backend=speech.backend_of(configured.speech, observer.Unobserved()), keys={"acme": "s3cret", "globex": "0ther"}
    )
    running.work()
    return running


@pytest.fixture
def client(real: Any) -> Iterator[openai.OpenAI]:
    """Return the official client of one tenant."""
    with openai.OpenAI(base_url=f"{real.url}/v1", api_key="s3cret", max_retries=0, timeout=60) as one:
        yield one


def test_every_form_tells_the_same(client: openai.OpenAI) -> None:
    """One recording in each form that clients ask for; the work is done once."""

    def ask(form: str, **more: Any) -> Any:
        return client.audio.transcriptions.create(
            model="whisper-1",
            file=CALL,
            response_format=form,
            language="en",
            **more,  # type: ignore[arg-type]
        )

    plain = ask("json")
    assert jiwer.wer(_plain(SAID), _plain(plain.text)) <= 0.15
    assert "duration" == plain.usage.type
    assert plain.text == ask("text").strip()
    verbose = ask("verbose_json", timestamp_granularities=["word", "segment"])
    assert plain.text == verbose.text == " ".join(segment.text for segment in verbose.segments)
    assert plain.text.split() == [word.word for word in verbose.words]
    assert all(word.start <= word.end <= verbose.duration for word in verbose.words)
    assert ("en", True) == (verbose.language, 77.0 < float(verbose.duration) < 78.0)
    assert verbose.segments[0].avg_logprob is None
    srt, vtt = ask("srt"), ask("vtt")
    assert srt.startswith("1\n00:00:")
    assert vtt.startswith("WEBVTT\n")
    diarized = ask("diarized_json")
    assert {"Agent", "Customer"} == {segment.speaker for segment in diarized.segments}
    assert plain.text == " ".join(segment.text for segment in diarized.segments)


def test_a_stream_tells_what_is_said_as_it_is_heard(client: openai.OpenAI) -> None:
    """Deltas come before the end, in the order of the call, and make up the text."""
    stream = client.audio.transcriptions.create(model="whisper-1", file=CALL, stream=True)
    events = list(stream)

    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "transcript.text.done" == events[-1].type
    assert len(deltas) == len(events) - 1 > 5
    assert events[-1].text == "".join(deltas)


def test_segments_stream_with_their_speakers(client: openai.OpenAI) -> None:
    """Whole segments with times, as the client's types name them."""
    events = list(
        client.audio.transcriptions.create(model="whisper-1", file=CALL, stream=True, response_format="diarized_json")
    )

    segments = [event for event in events if event.type == "transcript.text.segment"]
    assert len(segments) == len(events) - 1 > 5
    assert {"Speaker 1", "Speaker 2"} == {segment.speaker for segment in segments}
    assert [segment.start for segment in segments] == sorted(segment.start for segment in segments)
    assert events[-1].text == " ".join(segment.text for segment in segments)


def test_what_is_said_first_is_told_before_the_rest_is_heard(serve: Callable[..., Any]) -> None:
    """A stream is no answer in pieces at the end: with the second window held back, the first is told."""

    class SecondHeld(Held):
        async def transcribe(self, window: windows.Window) -> windows.WindowResult:
            return await (super() if window.window_id.endswith("/1") else testing.FakeBackend()).transcribe(window)

    backend = SecondHeld()
    running = serve(backend=backend)
    running.work()
    voice = material.load(CALL)[0, : 20 * 16_000]
    silence = np.zeros(40 * 16_000, dtype=np.int16)
    file = material.wav(np.concatenate([voice, silence, voice]), 16_000)
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0, timeout=60) as client:
        stream = client.audio.transcriptions.create(model="fake", file=("call.wav", file), stream=True)
        first = next(iter(stream))
        assert "transcript.text.delta" == first.type
        assert not backend.free.is_set()
        running.loop.call_soon_threadsafe(backend.free.set)
        assert "transcript.text.done" == list(stream)[-1].type


def test_models_are_listed_by_their_names(client: openai.OpenAI) -> None:
    """The model's own name, and the one that clients are used to; no other."""
    names = [model.id for model in client.models.list()]

    assert "whisper-1" in names
    assert 2 == len(names)
    assert names[0] == client.models.retrieve(names[0]).id
    with pytest.raises(openai.NotFoundError) as failed:
        client.models.retrieve("gpt-9")
    assert ("model_not_found", "model") == (failed.value.code, failed.value.param)


BAD = [
    ({"model": "gpt-9"}, openai.NotFoundError, "model_not_found", "model"),
    ({"language": "english!"}, openai.BadRequestError, "invalid_value", "language"),
    ({"language": "xx"}, openai.BadRequestError, None, None),
    ({"temperature": 0.7}, openai.BadRequestError, "invalid_value", "temperature"),
    ({"timestamp_granularities": ["word"]}, openai.BadRequestError, "invalid_value", None),
    ({"stream": True, "response_format": "srt"}, openai.BadRequestError, "invalid_value", None),
    ({"include": ["logprobs"]}, openai.BadRequestError, "invalid_value", "include[]"),
    ({"file": ("a.wav", b"")}, openai.BadRequestError, "empty_file", "file"),
    ({"file": ("a.wav", b"no audio at all")}, openai.BadRequestError, "not_audio", "file"),
    ({"file": ("a.wav", bytes(3000))}, openai.BadRequestError, "not_audio", "file"),
]


@pytest.mark.parametrize(("change", "error", "code", "param"), BAD, ids=[str(one[0])[:40] for one in BAD])
def test_bad_requests_are_told_as_openai_tells_them(
    serve: Callable[..., Any], change: dict[str, Any], error: type[openai.APIStatusError], code: str, param: str
) -> None:
    """The exception that the client has for it, with a sentence, a code and the field."""
    running = serve(backend=testing.FakeBackend())
    running.work()
    asked = {"model": "fake", "file": ("call.opus", CALL.read_bytes())} | change
    with (
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0, timeout=20) as client,
        pytest.raises(error) as failed,
    ):
        client.audio.transcriptions.create(**asked)

    assert (code, param) == (failed.value.code, failed.value.param)
    assert len(failed.value.body["message"]) > 10  # type: ignore[index]


def test_a_form_that_is_none_is_refused(serve: Callable[..., Any]) -> None:
    """JSON, a form without a file, a broken one, one that is too large: each a sentence."""
    running = serve(backend=testing.FakeBackend(), max_upload_bytes=10_000)
    with running.client() as client:
        for body, status, told in (
            ({"json": {"model": "fake"}}, 400, "multipart"),
            ({"files": {"other": b"x"}, "data": {"model": "fake"}}, 400, "file"),
            ({"files": {"file": b"x" * 20_000}, "data": {"model": "fake"}}, 413, "larger"),
            ({"files": {"file": b"x"}, "data": {"model": "fake", "response_format": "xml"}}, 400, "response_format"),
            ({"files": {"file": b"x"}, "data": {"model": "fake", "colour": "red"}}, 400, "colour"),
            ({"files": {"file": b"x"}}, 400, "model"),
            ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=a"}}, 400, "form"),
            ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "multipart"),
        ):
            answer = client.post("/v1/audio/transcriptions", **body)
            assert status == answer.status_code, answer.text
            assert told in answer.json()["error"]["message"]
            assert "invalid_request_error" == answer.json()["error"]["type"]
        assert 405 == client.get("/v1/audio/transcriptions").status_code
        assert "error" in client.get("/v1/audio/nothing").json()


def test_a_wrong_key_is_an_authentication_error(real: Any) -> None:
    """And no other tenant's transcript is ever given: the same content of two tenants is two recordings."""
    with (
        openai.OpenAI(base_url=f"{real.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as failed,
    ):
        client.models.list()
    assert "invalid_api_key" == failed.value.code


def test_who_asks_again_joins_the_work(serve: Callable[..., Any]) -> None:
    """A client that timed out and tries again is given what the first request began; nothing is done twice."""
    backend = Held()
    running = serve(backend=backend, wait_s=0.5)
    running.work()
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0, timeout=20) as client:

        def ask() -> str:
            return str(client.audio.transcriptions.create(model="fake", file=CALL).text)

        with pytest.raises(openai.InternalServerError) as failed:
            ask()
        assert 504 == failed.value.status_code
        assert ("still_in_work", "1") == (failed.value.code, failed.value.response.headers["retry-after"])
        running.loop.call_soon_threadsafe(backend.free.set)
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=5, timeout=20) as patient:
            assert patient.audio.transcriptions.create(model="fake", file=CALL).text
    assert len(backend.asked) == len({window.pcm for window in backend.asked})


def test_a_tenant_has_so_many_places_to_wait_in(serve: Callable[..., Any]) -> None:
    """Beyond them 429 with Retry-After, which the client honours by itself; another tenant has its own."""
    backend = Held()
    running = serve(backend=backend, max_waiting_requests=2, keys={"acme": "a", "globex": "b"})
    running.work()

    def ask(key: str, retries: int) -> str:
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=retries, timeout=30) as client:
            return str(client.audio.transcriptions.create(model="fake", file=CALL).text)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(ask, "a", 0) for _ in range(2)]
        while running.run(_waiting(running)) < 2:
            pass
        with pytest.raises(openai.RateLimitError) as failed:
            ask("a", 0)
        assert ("rate_limit_exceeded", "5") == (failed.value.code, failed.value.response.headers["retry-after"])
        other = threads.submit(ask, "b", 0)
        running.loop.call_soon_threadsafe(backend.free.set)
        assert 1 == len({one.result() for one in waiting})
        assert other.result()


async def _waiting(running: Any) -> int:
    known = await running.service.intake.list_reports(limit=10)
    await asyncio.sleep(0.05)
    return 2 if known else 0


def test_a_prompt_and_a_language_reach_the_model(serve: Callable[..., Any]) -> None:
    """As vocabulary and language of the event; another prompt is another piece of work."""
    backend = testing.FakeBackend()
    running = serve(backend=backend)
    running.work()
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0, timeout=20) as client:
        for prompt in ("Acme, Globex.", "Initech"):
            client.audio.transcriptions.create(model="fake", file=CALL, prompt=prompt, language="es")

    assert {("Acme, Globex.", "es"), ("Initech.", "es")} == {
        (window.options.prompt, window.options.language) for window in backend.asked
    }


def test_translation_asks_the_model_to_translate(serve: Callable[..., Any]) -> None:
    """`/v1/audio/translations` is the same with another task."""
    backend = testing.FakeBackend()
    running = serve(backend=backend)
    running.work()
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0, timeout=20) as client:
        assert client.audio.translations.create(model="fake", file=CALL).text

    assert {windows.Task.TRANSLATE} == {window.options.task for window in backend.asked}


def test_a_model_that_cannot_translate_says_so(serve: Callable[..., Any]) -> None:
    """Turbo would say it in the source language, whatever it is asked."""

    class Turbo(testing.FakeBackend):
        info = dataclasses.replace(
            testing.INFO, capabilities=dataclasses.replace(testing.INFO.capabilities, translation=False)
        )

    running = serve(backend=Turbo())
    running.work()
    with (
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0, timeout=20) as client,
        pytest.raises(openai.BadRequestError) as failed,
    ):
        client.audio.translations.create(model="fake", file=io.BytesIO(CALL.read_bytes()))

    assert "unsupported_option" == failed.value.code


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter in " '")
