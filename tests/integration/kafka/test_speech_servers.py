"""A small history on real speech servers: consumers and servers are killed, and every call says what was said in it."""

from __future__ import annotations

import asyncio
import os
import pathlib
import random
import signal
import time
from collections.abc import Iterator

import cluster
import material
import numpy as np
import obstore
import pytest
from peers import broker, process, rayserve, s3, tritonserver

from aftercall.cli import offline
from aftercall.contracts import documents, events, outcomes, settings, transcript
from aftercall.serve import triton_repository

CALLS = 48
KILLS = 6


@pytest.fixture(params=["triton", "ray"])
def server(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[tritonserver.Triton | rayserve.Ray]:
    """A server of the test model that may be killed."""

    def build() -> tritonserver.Triton | rayserve.Ray:
        folder = tmp_path / "server"
        folder.mkdir()
        if request.param == "ray":
            return rayserve.Ray(folder, model=material.MODEL, replicas=2)
        speech = triton_repository.Speech(model=str(material.MODEL), threads=1, instances=2, max_batch_windows=8)
        triton_repository.write(speech, folder / "repository")
        return tritonserver.Triton(folder, folder / "repository")

    yield from process.running(build)


def recordings(rng: random.Random) -> dict[str, bytes]:
    """Make calls of one turn each, which differ in their length, by id."""
    turns = [audio for _, _, audio in material.sentences(10)]
    found = {}
    for at in range(CALLS):
        silence = np.zeros(1600 * rng.randrange(1, 20), np.int16)
        found[f"c{at:03d}"] = material.wav(np.concatenate([silence, turns[at % len(turns)], silence]), 16_000)
    return found


def hurt(server: tritonserver.Triton | rayserve.Ray) -> None:
    """Kill a server, or a replica of it: Ray starts another by itself, as Kubernetes does with a pod."""
    if isinstance(server, rayserve.Ray):
        os.kill(server.replicas()[0], signal.SIGKILL)
        return
    server.kill()
    server.start()


async def heard_here(calls: dict[str, bytes], folder: pathlib.Path) -> dict[str, list[str]]:
    """Return what is said in each call, heard in this process."""
    files = {name: folder / f"{name}.wav" for name in calls}
    for name, data in calls.items():
        files[name].write_bytes(data)
    configured = settings.load({}, overrides={"speech": {"model": str(material.MODEL), "temperatures": (0.0,)}})
    async with offline.open_offline(configured, list(files.values()), ["acme"]) as hears:
        told = {
            name: await hears.transcribe(file, tenant="acme", call_id=name, language="en")
            for name, file in files.items()
        }
    return {name: [segment.text for segment in made.segments] for name, made in told.items()}


@pytest.mark.timeout(240)
def test_every_call_says_what_was_said_in_it(
    server: tritonserver.Triton | rayserve.Ray,
    kafka: broker.Broker,
    store: s3.S3,
    names: str,
    tmp_path: pathlib.Path,
) -> None:
    """Each exactly one canonical outcome, with the words that the engine hears in that call alone."""
    rng = random.Random(5)
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    calls = recordings(rng)
    for name, data in calls.items():
        obstore.put(ours.bucket(ours.inbox), f"acme/{name}.wav", data)
    ours.announce(
        events.RecordingReady.model_validate(
            {"tenant": "acme", "call_id": name, "recording_uri": f"s3://{ours.inbox}/acme/{name}.wav", "language": "en"}
        )
        for name in calls
    )
    env = ours.env(
        AFTERCALL_SPEECH__URL=server.url,
        AFTERCALL_SPEECH__BACKEND="ray" if isinstance(server, rayserve.Ray) else "triton",
        AFTERCALL_SPEECH__TEMPERATURES="[0.0]",
        AFTERCALL_INTAKE__MAX_OPEN_CALLS="4",
    )
    started, killed = time.monotonic(), 0
    consumers = [cluster.Consumer(env, tmp_path / f"log{at}") for at in range(2)]
    try:
        while killed < KILLS or ours.lag() > 0:
            time.sleep(rng.uniform(1.5, 3.0))
            assert time.monotonic() - started < 200, f"{ours.lag()} are unfinished"
            if killed < KILLS:
                killed += 1
                if killed % 3 == 0:
                    hurt(server)
                else:
                    at = rng.randrange(2)
                    consumers[at].kill()
                    consumers[at] = cluster.Consumer(env, tmp_path / f"log{at}")
            for one in consumers:
                one.check()
    finally:
        for one in consumers:
            one.kill()

    decided = {one.recording_id: one for one in ours.outcomes()}
    assert calls.keys() == decided.keys()
    assert {outcomes.Kind.CANONICAL} == {one.kind for one in decided.values()}
    assert len(ours.outcomes()) == CALLS
    expected = asyncio.run(heard_here(calls, tmp_path))
    outbox = ours.bucket(ours.outbox)
    for name, outcome in decided.items():
        key = str(outcome.transcript_key)
        made = documents.parse(transcript.Transcript, bytes(obstore.get(outbox, key).bytes()), what=key)
        assert expected[name] == [segment.text for segment in made.segments]
    print(f"\n{CALLS} calls, {killed} kills: 0 lost, 0 twice, each with its own words")
