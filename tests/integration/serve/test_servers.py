"""One suite for every speech backend that hosts our engine: in this process, and on real servers."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pathlib
import random
import signal
import time
import typing
from collections.abc import AsyncIterator, Callable, Iterator

import doubles
import httpx2
import material
import numpy as np
import openai_host
import pytest
from peers import process, rayserve, tritonserver
from tritonclient import utils
from tritonclient.grpc import aio

from aftercall.consumers import checkpoints, recognition
from aftercall.consumers.intake import delivery
from aftercall.consumers.recording import fetch
from aftercall.contracts import errors, identity, outcomes, sections, settings, windows
from aftercall.serve import allocator, backends, packing, triton_repository, wire
from aftercall.serve.clients import patient as patience
from aftercall.serve.engines import ctranslate2

INSTANCES = 2


@pytest.fixture(scope="module")
def engine() -> ctranslate2.Engine:
    """The engine itself, as what the others are measured by."""
    return ctranslate2.Engine(str(material.MODEL), device="cpu", threads=1)


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tritonserver.Triton]:
    """A server of the rendered repository."""

    def build() -> tritonserver.Triton:
        folder = tmp_path_factory.mktemp("triton")
        speech = triton_repository.Speech(
            model=str(material.MODEL), threads=1, instances=INSTANCES, max_batch_windows=8, max_queue_windows=64
        )
        triton_repository.write(speech, folder / "repository")
        return tritonserver.Triton(folder, folder / "repository")

    yield from process.running(build)


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rayserve.Ray]:
    """A Ray that serves the application."""
    yield from process.running(
        lambda: rayserve.Ray(tmp_path_factory.mktemp("ray"), model=material.MODEL, replicas=INSTANCES)
    )


@pytest.fixture(scope="module")
def openai(engine: ctranslate2.Engine) -> Iterator[str]:
    """An OpenAI-compatible server over the engine."""
    yield from openai_host.serve(engine)


@pytest.fixture(params=["inprocess", "triton", "ray"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[windows.SpeechBackend]:
    """A started backend of ours, chosen by the settings alone."""
    async for found in chosen(request):
        yield found


@pytest.fixture(params=["inprocess", "triton", "ray", "openai"])
async def anybodys(request: pytest.FixtureRequest) -> AsyncIterator[windows.SpeechBackend]:
    """Likewise, or anybody's."""
    async for found in chosen(request):
        yield found


async def chosen(request: pytest.FixtureRequest) -> AsyncIterator[windows.SpeechBackend]:
    """Start the backend of a fixture's parameter."""
    told: dict[str, object] = {"model": str(material.MODEL), "device": "cpu", "threads": 2, "max_wait_s": 0.01}
    if request.param != "inprocess":
        server = request.getfixturevalue(request.param)
        url = server if isinstance(server, str) else server.url
        told |= {"backend": request.param, "url": url, "request_timeout_s": 20}
    found = backends.build(sections.Speech.model_validate(told))
    await found.start()
    yield found
    await found.close()


def spoken(n: int = 12, **options: object) -> list[windows.Window]:
    """Return windows of held-out turns."""
    return [
        windows.Window(str(at), "acme", audio.tobytes(), windows.Options(**options))  # type: ignore[arg-type]
        for at, (_, _, audio) in enumerate(material.sentences(n))
    ]


MOVES_S = 0.1
"""How far the end of a word may move, in steps of 0.02: where two places are as good, which one it is may depend on the
batch, since kernels of some processors add up in another order (0.08 seen once in 364)."""


def comparable(result: windows.WindowResult) -> tuple[object, ...]:
    """Return what must be the same wherever a window is heard; probabilities move in the third decimal."""
    words = [word.text for word in result.words or ()]
    return result.window_id, result.text, words, result.language, result.temperature


def times_s(result: windows.WindowResult) -> list[float]:
    """Return when each word begins and ends."""
    return [at_s for word in result.words or () for at_s in (word.start_s, word.end_s)]


async def test_every_window_gets_what_the_engine_says_of_it_alone(
    anybodys: windows.SpeechBackend, engine: ctranslate2.Engine
) -> None:
    """Text, words and their times, languages detected and given, all at once in a random order."""
    asked = spoken() + [dataclasses.replace(one, window_id=f"en-{one.window_id}") for one in spoken(6, language="en")]
    expected = {one.window_id: engine.transcribe([one])[0] for one in asked}
    random.Random(3).shuffle(asked)

    results = await asyncio.gather(*(anybodys.transcribe(one) for one in asked))

    assert [comparable(expected[one.window_id]) for one in asked] == [comparable(one) for one in results]
    for one in results:
        assert times_s(one) == pytest.approx(times_s(expected[one.window_id]), abs=MOVES_S)
        assert one.avg_logprob == pytest.approx(expected[one.window_id].avg_logprob, abs=1e-2)
        assert one.no_speech_probability == pytest.approx(expected[one.window_id].no_speech_probability, abs=1e-2)


async def test_it_says_which_model_answers(backend: windows.SpeechBackend, engine: ctranslate2.Engine) -> None:
    """The same of the same engine, wherever it is hosted."""
    assert engine.info == backend.info


async def test_a_window_that_none_can_serve_is_refused_with_its_reason(backend: windows.SpeechBackend) -> None:
    """And hurts no window beside it."""
    good, bad = spoken(1)[0], spoken(1, language="tlh")[0]
    told = await asyncio.gather(*(backend.transcribe(one) for one in (bad, good, bad)), return_exceptions=True)

    assert isinstance(told[1], windows.WindowResult)
    for one in (told[0], told[2]):
        assert isinstance(one, errors.RejectedError)
        assert outcomes.Reason.UNKNOWN_LANGUAGE is one.reason


async def test_a_withdrawn_window_leaves_the_others_alone(
    anybodys: windows.SpeechBackend, engine: ctranslate2.Engine
) -> None:
    """Cancelled before, while and after it may have joined a batch."""
    asked = spoken()
    expected = {one.window_id: engine.transcribe([one])[0].text for one in asked}
    rng = random.Random(5)
    for _ in range(4):
        tasks = [asyncio.create_task(anybodys.transcribe(one)) for one in asked]
        withdrawn = rng.sample(tasks, 4)
        for task in withdrawn:
            await asyncio.sleep(rng.random() * 0.05)
            task.cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        for task, window, one in zip(tasks, asked, told, strict=True):
            if isinstance(one, windows.WindowResult):
                assert expected[window.window_id] == one.text
            else:
                assert task in withdrawn
                assert isinstance(one, asyncio.CancelledError)


async def test_a_document_is_the_same_wherever_its_windows_were_heard(
    anybodys: windows.SpeechBackend, tmp_path: pathlib.Path, whole: dict[str, typing.Any]
) -> None:
    """A whole call: speakers, segments, words, times, coverage and flags; apart from who heard it, and how long."""
    call = material.CALLS / "call-3.opus"
    recognizer = recognition.Recognizer(
        anybodys,
        fetch.Fetcher(folders=[call.parent], max_size_bytes=10**8),
        settings.load({}),
        spool=tmp_path,
        now=lambda: doubles.NOW,
    )
    event = doubles.event(recording_uri=call.as_uri(), version="1")

    async def unreported(*_: object) -> None:
        pass

    taken = delivery.Delivery(identity.Work(event.recording, "1", 1), event, 1, 0, 0.0)
    made = await recognizer.transcribe(taken, checkpoints.NoCheckpoints(), unreported)

    plain = made.model_dump(exclude={"model", "timings_s"})
    found_s, confidences = [], []
    for segment in plain["segments"]:
        confidences.append(segment.pop("confidence"))
        for each in (segment, *segment["words"]):
            found_s += [each.pop("start_s"), each.pop("end_s")]
        for word in segment["words"]:
            del word["confidence"]
    assert whole.setdefault("first", plain) == plain
    assert found_s == pytest.approx(whole.setdefault("times", found_s), abs=MOVES_S)
    # Probabilities move in the third decimal from batch to batch.
    assert confidences == pytest.approx(whole.setdefault("confidences", confidences), abs=1e-2)


@pytest.fixture(scope="module")
def whole() -> dict[str, typing.Any]:
    """What the first backend made of the call, for the others to be compared with."""
    return {}


async def test_triton_forms_batches_and_the_engine_runs_them(triton: tritonserver.Triton) -> None:
    """More inferences than executions, while more wait than run."""
    before = triton.counts()
    backend = backends.build(sections.Speech.model_validate({"url": triton.url}))
    await backend.start()
    await asyncio.gather(*(backend.transcribe(one) for one in spoken(language="en") for _ in range(3)))
    await backend.close()

    done = {name: value - before[name] for name, value in triton.counts().items()}
    assert 37 == done["nv_inference_count"]
    assert done["nv_inference_exec_count"] <= 37 / 3


@pytest.mark.parametrize(
    ("head", "pcm", "says"),
    [
        (np.array([[wire.INFO_HEAD]], object), np.zeros((2, 10), np.int16), "batch"),
        (np.array([[wire.INFO_HEAD], [wire.INFO_HEAD]], object), np.zeros((2, 10), np.int16), "[2, 1]"),
        (np.array([[wire.INFO_HEAD]], object), np.zeros((1, 10), np.float32), "INT16"),
        (np.array([[b"x" * 5_000_000]], object), np.zeros((1, 10), np.int16), ""),
        (np.array([[b"\xff\xfe not JSON"]], object), np.zeros((1, 10), np.int16), ""),
        (np.array([[b"{}"]], object), np.zeros((1, 480_001), np.int16), ""),
    ],
    ids=["two windows, one head", "a batch in one request", "floats", "5 MB of a head", "no JSON", "31 s"],
)
async def test_what_is_no_window_is_refused_and_hurts_nobody(
    triton: tritonserver.Triton, head: np.ndarray, pcm: np.ndarray, says: str
) -> None:
    """By the server or by the model, in one sentence; the next window is served."""
    client = aio.InferenceServerClient(f"127.0.0.1:{triton.grpc}")
    asked = aio.InferInput("HEAD", list(head.shape), "BYTES"), aio.InferInput("PCM", list(pcm.shape), "INT16")
    asked[0].set_data_from_numpy(head)
    if pcm.dtype == np.int16:
        asked[1].set_data_from_numpy(pcm)
    else:
        asked = asked[0], aio.InferInput("PCM", list(pcm.shape), "FP32")
        asked[1].set_data_from_numpy(pcm)
    if says:
        with pytest.raises(utils.InferenceServerException, match=says.replace("[", r"\[")):
            await client.infer("speech", list(asked))
    else:
        told = await client.infer("speech", list(asked))
        with pytest.raises(errors.PermanentError) as caught:
            wire.read_answer(told.as_numpy("ANSWER")[0, 0])
        assert outcomes.Reason.BACKEND_REFUSED is caught.value.reason
    await client.close()
    backend = backends.build(sections.Speech.model_validate({"url": triton.url}))
    await backend.start()
    assert (await backend.transcribe(spoken(1)[0])).text
    await backend.close()


@pytest.fixture
def own(tmp_path: pathlib.Path) -> Iterator[tritonserver.Triton]:
    """A server that a test may hurt: batches of two, a queue of four."""

    def build() -> tritonserver.Triton:
        speech = triton_repository.Speech(
            model=str(material.MODEL), threads=1, max_batch_windows=2, max_queue_windows=4
        )
        triton_repository.write(speech, tmp_path / "repository")
        return tritonserver.Triton(tmp_path, tmp_path / "repository")

    yield from process.running(build)


def patient(server: tritonserver.Triton, **changes: object) -> windows.SpeechBackend:
    """Return the backend as consumers have it: with its one layer of retries."""
    told = {"url": server.url, "request_timeout_s": 10} | changes
    return patience.PatientBackend(backends.build(sections.Speech.model_validate(told)))


@pytest.mark.timeout(120)
async def test_a_full_queue_refuses_and_nothing_is_lost(own: tritonserver.Triton) -> None:
    """Forty windows for a queue of four: who is refused comes again."""
    alone = backends.build(sections.Speech.model_validate({"url": own.url}))
    await alone.start()
    told = await asyncio.gather(*(alone.transcribe(spoken(1)[0]) for _ in range(32)), return_exceptions=True)
    await alone.close()
    refused = [one for one in told if not isinstance(one, windows.WindowResult)]
    assert refused
    assert {outcomes.Reason.BACKEND_BUSY} == {getattr(one, "reason", one) for one in refused}
    assert len(refused) < 32
    backend = patient(own)
    await backend.start()
    texts = {one.text for one in await asyncio.gather(*(backend.transcribe(spoken(1)[0]) for _ in range(32)))}
    await backend.close()
    assert 1 == len(texts)


@pytest.mark.timeout(120)
async def test_a_server_that_hangs_is_given_up_in_time_and_used_again(own: tritonserver.Triton) -> None:
    """SIGSTOP for longer than a request may take, then SIGCONT: late answers go nowhere, every window has its own."""
    asked = spoken(4, language="en")
    backend = patient(own, request_timeout_s=2)
    await backend.start()
    expected = [(await backend.transcribe(one)).text for one in asked]
    own.signal(signal.SIGSTOP)
    waiting = [asyncio.create_task(backend.transcribe(one)) for one in asked]
    await asyncio.sleep(5)
    assert not any(task.done() for task in waiting)
    own.signal(signal.SIGCONT)

    assert expected == [one.text for one in await asyncio.gather(*waiting)]
    await backend.close()


@pytest.mark.timeout(120)
async def test_a_server_killed_in_the_middle_of_a_batch_loses_no_window(own: tritonserver.Triton) -> None:
    """Killed while it works, started again on the same port: the same windows are asked again."""
    asked = spoken(12)
    backend = patient(own)
    await backend.start()
    expected = [(await backend.transcribe(one)).text for one in asked]
    waiting = [asyncio.create_task(backend.transcribe(one)) for one in asked]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(own.kill)
    assert not all(task.done() for task in waiting)
    await asyncio.to_thread(own.start)

    assert expected == [one.text for one in await asyncio.gather(*waiting)]
    await backend.close()


@pytest.mark.timeout(180)
def test_a_replica_keeps_the_memory_that_its_engine_frees(ray: rayserve.Ray) -> None:
    """Told from outside: Ray's threads begin before the engine, and without it a replica of `base` did 0.79 as much."""
    told = [pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in ray.replicas()]

    assert INSTANCES == len(told)
    assert all(f"{name}={value}".encode() in each for each in told for name, value in allocator.ENVIRONMENT.items())


async def test_a_replica_killed_in_the_middle_loses_no_window(ray: rayserve.Ray) -> None:
    """One of two engines is killed while both work; Ray starts another."""
    asked = [dataclasses.replace(one, window_id=f"{at}-{one.window_id}") for at in range(3) for one in spoken(12)]
    backend = patience.PatientBackend(
        backends.build(sections.Speech.model_validate({"backend": "ray", "url": ray.url, "request_timeout_s": 30}))
    )
    await backend.start()
    expected = [(await backend.transcribe(one)).text for one in asked[:12]] * 3
    before = ray.replicas()
    assert INSTANCES == len(before)
    waiting = [asyncio.create_task(backend.transcribe(one)) for one in asked]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    os.kill(before[0], signal.SIGKILL)
    assert not all(task.done() for task in waiting)

    assert expected == [one.text for one in await asyncio.gather(*waiting)]
    await asyncio.to_thread(_wait_for, lambda: len(set(ray.replicas()) - {before[0]}) == INSTANCES)
    await backend.close()


def _wait_for(done: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/windows", b"", 400),
        ("/v1/windows", b"\x00\x00\xff\xff{}", 400),
        ("/v1/windows", bytes(5_000_000), 413),
        ("/v1/elsewhere", b"", 404),
    ],
    ids=["nothing", "a head longer than the body", "5 MB", "no such address"],
)
async def test_ray_refuses_what_is_no_window(ray: rayserve.Ray, path: str, body: bytes, status: int) -> None:
    """With a status; the next window is served."""
    async with httpx2.AsyncClient(base_url=ray.url) as client:
        assert status == (await client.post(path, content=body)).status_code
        told = await client.post("/v1/windows", content=packing.pack(wire.INFO_HEAD, wire.INFO_PCM))
    assert isinstance(wire.read_answer(told.content), windows.BackendInfo)
