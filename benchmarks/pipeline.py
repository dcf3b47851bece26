"""Consumers on a real broker and a real S3 server: from a Kafka event to the published transcript.

1. Random-weight `small`: seconds for stereo calls against the bare engine on the same windows and threads, and where
   the rest goes; once with a core that the engine leaves to the rest, once with none.
2. A synthetic engine of 500 times real time (an L4's rate, simulated): how busy one consumer keeps it, and how many
   cores each such GPU takes.
3. From an event to the first work on it, with an idle consumer.
4. Memory with 100,000 events waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import equal_work
import obstore
import service as service_bench
import whispers

from aftercall.cli import pod
from aftercall.contracts import errors, events, outcomes, settings, transcript, windows
from aftercall.serve import testing
from aftercall.serve.clients import inprocess

TESTS = pathlib.Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))
import cluster  # noqa: E402 -- the servers under test live beside the tests
import memory  # noqa: E402
from peers import broker, s3  # noqa: E402

RATE = 500.0


@contextlib.contextmanager
def platform(name: str, **more: str) -> Iterator[tuple[cluster.Cluster, dict[str, str]]]:
    """Start a broker and an S3 server, with topics and buckets; yield them and a consumer's settings."""
    with tempfile.TemporaryDirectory(prefix="aftercall-bench-") as folder:
        root = pathlib.Path(folder)
        for part in ("broker", "s3"):
            (root / part).mkdir()
        kafka, store = broker.Broker(root / "broker"), s3.S3(root / "s3")
        kafka.start()
        store.start()
        try:
            ours = cluster.Cluster(kafka, store, name)
            ours.create(partitions=4)
            env = ours.env(AFTERCALL_STORE__CLAIM_LEASE_S="60", AFTERCALL_KAFKA__COMMIT_INTERVAL_S="1", **more)
            yield ours, env
        finally:
            store.stop()
            kafka.stop()


def announce(ours: cluster.Cluster, calls: list[pathlib.Path], copies: int = 1) -> int:
    """Put recordings into the bucket, and announce them; return how many."""
    told = []
    for at in range(copies):
        for call in calls:
            key = f"bench/{call.stem}-{at}{call.suffix}"
            obstore.put(ours.bucket(ours.inbox), key, call.read_bytes())
            plain = {
                "tenant": "bench",
                "call_id": f"{call.stem}-{at}",
                "recording_uri": f"s3://{ours.inbox}/{key}",
                "duration_s": 60.0,
            }
            told.append(events.RecordingReady.model_validate(plain))
    ours.announce(told)
    return len(told)


async def drain(env: dict[str, str], backend: windows.SpeechBackend, n_outcomes: int) -> float:
    """Consume until so many outcomes are published; return the seconds that took, the group's joining apart."""
    configured = settings.load(env)
    async with pod.open_pod(configured, backend=backend) as consumer:
        await consumer.start()
        n_ended, ended, began_s = 0, asyncio.Event(), 0.0
        finish, take = consumer.backlog.finish, consumer.backlog.take

        async def note_finish(taken: object, outcome: object) -> None:
            nonlocal n_ended
            await finish(taken, outcome)  # type: ignore[arg-type]
            n_ended += 1
            if n_ended == n_outcomes:
                ended.set()

        async def note_take() -> object:
            nonlocal began_s
            taken = await take()
            if taken is not None and not began_s:
                began_s = time.perf_counter()
            return taken

        consumer.backlog.finish = note_finish  # type: ignore[method-assign]
        consumer.backlog.take = note_take  # type: ignore[assignment]
        stopping = asyncio.Event()
        running = asyncio.create_task(consumer.run(stopping))
        await ended.wait()
        took_s = time.perf_counter() - began_s
        stopping.set()
        await running
        return took_s


def efficiency(rounds: int, *, threads: int, copies: int) -> None:
    """Print the pipeline's seconds against the engine's, and what each stage of it took."""
    calls = service_bench.CALLS
    loaded = service_bench.load(str(whispers.build("small")), forced=True, threads=threads)
    line = [window for call in calls for window in asyncio.run(service_bench.cut(call))] * copies
    audio_s = sum(window.duration_s for window in line)
    cores = os.cpu_count() or 1
    print(
        f"\nsmall (random weights), {len(calls) * copies} stereo calls, {len(line)} windows of {audio_s:.0f} s,"
        f" {threads} engine threads on {cores} cores"
    )
    ratios = []
    for at in range(rounds):
        alone_s = service_bench.bare(loaded, line, threads=threads)
        with platform(f"eff{at}", AFTERCALL_SPEECH__TEMPERATURES="[0.0]", AFTERCALL_SPEECH__LANGUAGE="en") as (
            ours,
            env,
        ):
            n_calls = announce(ours, calls, copies)
            backend = inprocess.InProcessBackend(
                lambda: loaded, max_batch_windows=8, max_wait_s=0.05, max_in_flight=32, workers=threads
            )
            pipeline_s = asyncio.run(drain(env | {"AFTERCALL_INTAKE__MAX_OPEN_CALLS": "12"}, backend, n_calls))
            parts = timings(ours)
        ratios.append(alone_s / pipeline_s)
        print(f"engine alone {alone_s:6.1f} s   pipeline {pipeline_s:6.1f} s   efficiency {ratios[-1]:.2f}", flush=True)
    print(f"efficiency: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(
        "wall time of stages, all calls together, last round: " + ", ".join(f"{k} {v:.1f} s" for k, v in parts.items())
    )


def timings(ours: cluster.Cluster) -> dict[str, float]:
    """Add up what transcripts say of their stages."""
    store = ours.bucket(ours.outbox)
    found: dict[str, float] = {}
    for one in ours.outcomes():
        if one.transcript_key is not None:
            data = bytes(obstore.get(store, one.transcript_key).bytes())
            for stage, spent_s in transcript.Transcript.model_validate_json(data).timings_s.items():
                found[stage] = found.get(stage, 0.0) + spent_s
    return found


class SimulatedGpu(testing.FakeBackend):
    """Takes windows in batches, one batch at a time, at `RATE` seconds of windows a second; notes when it was busy."""

    def __init__(self) -> None:
        super().__init__()
        self._line: list[tuple[windows.Window, asyncio.Future[windows.WindowResult]]] = []
        self._running: asyncio.Task[None] | None = None
        self.busy_s = self.first_s = self.last_s = 0.0

    async def transcribe(self, window: windows.Window) -> windows.WindowResult:
        """Wait for the batch that the window lands in."""
        found: asyncio.Future[windows.WindowResult] = asyncio.get_running_loop().create_future()
        self._line.append((window, found))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await found

    async def _run(self) -> None:
        while self._line:
            batch, self._line = self._line[:16], self._line[16:]
            began_s = time.perf_counter()
            self.first_s = self.first_s or began_s
            took_s = sum(window.duration_s for window, _ in batch) / RATE
            await asyncio.sleep(took_s)
            self.last_s = time.perf_counter()
            self.busy_s += took_s
            for window, found in batch:
                if not found.done():
                    found.set_result(testing.said(window, " yes"))


def simulated_gpu(copies: int) -> None:
    """Print how busy one consumer keeps a simulated L4, and what that costs in cores."""
    with platform("gpu", AFTERCALL_INTAKE__MAX_OPEN_CALLS="16", AFTERCALL_SPEECH__MAX_WINDOWS_IN_FLIGHT="64") as (
        ours,
        env,
    ):
        n_calls = announce(ours, service_bench.CALLS, copies)
        gpu = SimulatedGpu()
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        took_s = asyncio.run(drain(env, gpu, n_calls))
        spent = [
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            for before, after in (
                (own, resource.getrusage(resource.RUSAGE_SELF)),
                (children, resource.getrusage(resource.RUSAGE_CHILDREN)),
            )
        ]
    cores = os.cpu_count() or 1
    per_gpu = sum(spent) / gpu.busy_s
    print(
        f"\nsimulated engine at {RATE:.0f} times real time, {n_calls} calls, one consumer process, {cores} cores:"
        f" {took_s:.1f} s, engine busy {gpu.busy_s / (gpu.last_s - gpu.first_s):.0%}"
    )
    print(
        f"CPU-seconds: consumer {spent[0]:.1f}, decode children {spent[1]:.1f}; a GPU that is always busy takes"
        f" {per_gpu:.1f} cores ({spent[0] / gpu.busy_s:.1f} of them the consumer's)"
    )


def dispatch(seconds: float) -> None:
    """Print how long an event lies before work on it begins."""
    lay_s: list[float] = []

    async def run(ours: cluster.Cluster, env: dict[str, str]) -> None:
        async def make(taken: object, report: object) -> transcript.Transcript:
            lay_s.append(time.time() - taken.queued_at)  # type: ignore[attr-defined]
            raise errors.RejectedError("only its beginning is looked at", reason=outcomes.Reason.NOT_AUDIO)

        configured = settings.load(env)
        async with pod.open_pod(configured, backend=testing.FakeBackend(), make=make) as consumer:
            await consumer.start()
            stopping = asyncio.Event()
            running = asyncio.create_task(consumer.run(stopping))
            await asyncio.sleep(8)  # joining the group
            await asyncio.to_thread(trickle, ours, seconds)
            await asyncio.sleep(2)
            stopping.set()
            await running

    with platform("dispatch") as (ours, env):
        import logging

        logging.disable(logging.CRITICAL)
        asyncio.run(run(ours, env))
        logging.disable(logging.NOTSET)
    cuts_ms = [1000 * each for each in statistics.quantiles(lay_s, n=100)]
    print(
        f"\nevent to first work, {len(lay_s)} events at 20 a second: p50 {cuts_ms[49]:.0f} ms, p99 {cuts_ms[98]:.0f} ms"
    )


def trickle(ours: cluster.Cluster, seconds: float) -> None:
    """Announce twenty recordings a second."""
    import kafka

    producer = kafka.KafkaProducer(bootstrap_servers=ours.kafka.address)
    for at in range(int(seconds * 20)):
        data = {"tenant": "bench", "call_id": f"d{at}", "recording_uri": f"s3://{ours.inbox}/x", "version": "1"}
        whole = {"specversion": "1.0", "id": str(at), "source": "bench", "type": events.RECORDING_READY, "data": data}
        producer.send(ours.recordings, json.dumps(whole).encode())
        time.sleep(1 / 20)
    producer.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A consumer's memory in MiB."""

    peak: float
    own: float


def waiting(n_events: int) -> None:
    """Print a consumer's memory with nothing waiting, and with so many events of fifty tenants."""
    found = {}
    for count in (0, n_events):
        with platform("mem", AFTERCALL_INTAKE__MAX_OPEN_CALLS="16") as (ours, env):
            obstore.put(ours.bucket(ours.inbox), "any", json.dumps({"sleep_s": 5.0}).encode())
            uri = f"s3://{ours.inbox}/any"
            ours.announce(
                events.RecordingReady.model_validate(
                    {"tenant": f"t{at % 50}", "call_id": f"m{at}", "recording_uri": uri, "version": "1"}
                )
                for at in range(count)
            )
            with tempfile.TemporaryDirectory() as folder:
                log = pathlib.Path(folder) / "log"
                consumer = subprocess.Popen(
                    [sys.executable, str(TESTS / "stub_consumer.py")],
                    env={**os.environ, **env, "STUB_LOG": str(pathlib.Path(folder) / "began")},
                    stderr=log.open("wb"),
                )
                time.sleep(60 if count else 15)
                found[count] = Size(*memory.sizes(consumer.pid))
                consumer.kill()
                consumer.wait()
            deferred = len(ours.records(ours.deferred))
    few, many = found[0], found[n_events]
    print(
        f"\nmemory with {n_events} events of 50 tenants waiting: {many.own:.0f} MiB of its own (peak {many.peak:.0f}),"
        f" {few.own:.0f} with none ({few.peak:.0f}); {deferred} of them were put aside within a minute"
    )


def main() -> None:
    """Run all four."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=("efficiency", "gpu", "dispatch", "waiting"))
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    if given.only in {None, "dispatch"}:
        dispatch(20.0)
    if given.only in {None, "gpu"}:
        simulated_gpu(25)
    if given.only in {None, "waiting"}:
        waiting(100_000)
    if given.only in {None, "efficiency"}:
        equal_work.suppress_the_end()
        # An engine that leaves a core to the rest, as a GPU does; then one that wants every core for itself.
        efficiency(given.rounds, threads=1, copies=2)
        efficiency(given.rounds, threads=service_bench.THREADS, copies=3)


if __name__ == "__main__":
    main()
