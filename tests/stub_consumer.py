"""A consumer pod with everything real but the speech: a process for tests that kill it.

What it does to a recording is written in the recording: JSON with `sleep_s`, and `do` one of `hear`, `reject`, `strike`
(its decode child dies) and `die` (the whole process is killed). Every beginning of work is a line in `STUB_LOG`. With
`STUB_ENGINE_PLACES` so many recordings sleep at once, as windows share an engine; their beginnings are in `.engine`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pathlib
import signal
import sys
import tempfile
import time
from collections.abc import Sequence

import doubles

from aftercall.cli import pod, telemetry
from aftercall.consumers import recognition
from aftercall.consumers.intake import delivery, places
from aftercall.contracts import errors, outcomes, reports, settings, transcript
from aftercall.serve import testing


class Stub:
    """Stands in for recognition."""

    def __init__(self, log: pathlib.Path, *, engine_places: int) -> None:
        self._engine = asyncio.Semaphore(engine_places)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._log, self._engine_log = os.open(log, flags), os.open(log.with_suffix(".engine"), flags)
        self.pod: pod.Pod

    async def make(self, taken: delivery.Delivery, report: recognition.Report) -> transcript.Transcript:
        """Do what the recording says."""
        work = taken.work
        self._note(self._log, taken)
        with tempfile.TemporaryDirectory() as folder:
            fetched = await self.pod.fetcher.fetch(
                taken.event.recording_uri, pathlib.Path(folder) / "recording", tenant=work.recording.tenant
            )
            told = json.loads(fetched.path.read_bytes())
        await report(reports.Stage.TRANSCRIBING, 0.5, told.get("audio_s", 60.0))
        async with self._engine:
            self._note(self._engine_log, taken)
            await asyncio.sleep(told["sleep_s"])
        match told.get("do", "hear"):
            case "reject":
                raise errors.RejectedError("not audio", reason=outcomes.Reason.NOT_AUDIO)
            case "strike":
                raise errors.StrikeError("the decode child died", reason=outcomes.Reason.DECODER_DIED)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
        made = doubles.made(work.recording.recording_id, generation=work.generation, sha256=fetched.sha256)
        mine = {
            "tenant": work.recording.tenant,
            "recording_id": work.recording.recording_id,
            "version": work.version,
            "transcription_id": work.transcription_id,
            "call_id": taken.event.call_id,
            "replay_of": taken.event.replay_of,
            # Two honest runs differ, as they do when an engine's arithmetic depends on the batch.
            "metadata": {"run": hashlib.sha256(os.urandom(8)).hexdigest()},
        }
        return made.model_copy(update=mine)

    def _note(self, log: int, taken: delivery.Delivery) -> None:
        line = {"id": taken.work.recording.recording_id, "attempt": taken.attempts, "pid": os.getpid()}
        line |= {"tenant": taken.work.recording.tenant, "at_s": time.time()}
        os.write(log, json.dumps(line).encode() + b"\n")


def seed_bug(consumer: pod.Pod, mutant: str) -> None:
    """Break a consumer in a way that a test must notice."""
    if mutant == "commit_before_work":
        arrive = consumer.backlog.arrive

        def finish_first(records: Sequence[places.Record]) -> None:
            arrive(records)
            for record in records:
                consumer.poller.finish(record.place)

        consumer.backlog.arrive = finish_first  # type: ignore[method-assign]
    if mutant == "decide_by_overwriting":
        consumer.store.create = consumer.store.put  # type: ignore[method-assign]


async def main() -> None:
    """Consume until SIGTERM; with `STUB_METRICS` write the metrics there every half second."""
    stub = Stub(
        pathlib.Path(os.environ.pop("STUB_LOG")), engine_places=int(os.environ.pop("STUB_ENGINE_PLACES", "1000"))
    )
    mutant, metrics = os.environ.pop("STUB_MUTANT", ""), os.environ.pop("STUB_METRICS", "")
    configured = settings.load(os.environ)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    with telemetry.telling(configured.telemetry, part="consumer"):
        async with pod.open_pod(configured, backend=testing.FakeBackend(), make=stub.make) as consumer:
            stub.pod = consumer
            await consumer.start()
            seed_bug(consumer, mutant)
            sys.stderr.write(f"{consumer.owner} is ready\n")
            writing = asyncio.create_task(write_metrics(consumer, pathlib.Path(metrics))) if metrics else None
            await consumer.run(stopping)
            if writing is not None:
                writing.cancel()


async def write_metrics(consumer: pod.Pod, path: pathlib.Path) -> None:
    """Append what Prometheus would read."""
    while True:
        with path.open("ab") as file:
            file.write(consumer.exposition())
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main())
