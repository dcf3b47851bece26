"""`aftercall doctor`: does everything work that a recording needs on its way?"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import math
import os
import pathlib
import secrets
import shutil
import struct
import tempfile
import wave
from collections.abc import Awaitable, Callable, Mapping

import typer

from aftercall.cli import configuration
from aftercall.consumers import broker, observer, tenants, topics
from aftercall.consumers.publish import clickhouse, endpoint, objects
from aftercall.consumers.recording import decode
from aftercall.contracts import errors, settings, windows
from aftercall.serve import backends

EXIT_FAILED = 1
_LITTLE_DISK_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    ok: bool
    detail: str


def doctor(
    data: configuration.DataDir = None,
    model: configuration.ModelName = None,
    settings_file: configuration.SettingsFile = None,
    as_json: configuration.AsJson = False,
) -> None:
    """Check settings, data folder, decoder, model and stores, and say what to do about what fails.

    Exits 1 when a check fails. Example: aftercall doctor --model small
    """
    configured = configuration.load(settings_file, data={"dir": data}, speech={"model": model})
    findings = asyncio.run(check(configured))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.detail}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILED)


async def check(configured: settings.Settings) -> list[Finding]:
    """Run every check; one that fails does not stop the others."""
    checks: dict[str, Callable[[], Awaitable[str]]] = {
        "tenants": lambda: _tenants(configured),
        "data folder": lambda: _data_folder(configured.data.dir),
        "decoder": lambda: _decoder(configured),
        "speech": lambda: _speech(configured),
    }
    checks |= _of_a_deployment(configured) if configured.kafka.bootstrap_servers else _EMBEDDED
    findings = []
    for name, run in checks.items():
        try:
            findings.append(Finding(name, True, await run()))
        except (errors.AftercallError, OSError, ImportError) as exc:
            findings.append(Finding(name, False, " ".join(str(exc).split())))
    return findings


async def _tenants(configured: settings.Settings) -> str:
    known = await asyncio.to_thread(tenants.Tenants, configured, observer.Unobserved())
    homeless = sorted(policy.name for policy in known.listed if configured.kafka.topic_for(policy) is None)
    beside = f"; no topic here may name {', '.join(homeless[:5])}{' …' * (len(homeless) > 5)}" if homeless else ""
    if configured.intake.tenants_file is None:
        return f"anybody is served; {len(known)} have a policy of their own{beside}"
    return (
        f"{len(known)} in {configured.intake.tenants_file}; the recordings of others wait until they are, too{beside}"
    )


async def _webhooks(configured: settings.Settings) -> str:
    known = await asyncio.to_thread(tenants.Tenants, configured, observer.Unobserved())
    hooks = {policy.name: policy.webhook for policy in known.listed if policy.webhook is not None}
    problems = []
    for name, hook in hooks.items():
        try:
            await asyncio.to_thread(endpoint.read, hook)
        except errors.ConfigurationError as exc:
            problems.append(f"tenant {name}: {exc}")
    if problems:
        raise errors.ConfigurationError("; ".join(problems))
    return f"{len(hooks)} tenants are told, with an address and a secret each"


async def _data_folder(folder: pathlib.Path) -> str:
    return await asyncio.to_thread(_look_at, folder)


def _look_at(folder: pathlib.Path) -> str:
    at = folder.resolve()
    while not at.exists():
        at = at.parent
    if not os.access(at, os.W_OK):
        raise errors.ConfigurationError(f"{at} cannot be written; give another folder with --data")
    free_bytes = shutil.disk_usage(at).free
    if free_bytes < _LITTLE_DISK_BYTES:
        raise errors.ConfigurationError(f"{at} has {free_bytes >> 20} MiB left; a recording may need more than that")
    return f"{folder} can be written, {free_bytes >> 30} GiB free"


async def _decoder(configured: settings.Settings) -> str:
    with tempfile.TemporaryDirectory(prefix="aftercall-") as folder:
        path = pathlib.Path(folder) / "tone.wav"
        path.write_bytes(_tone())
        recording = configured.recording
        limits = decode.Limits(
            memory_bytes=recording.decode_memory_bytes, cpu_s=10, stall_s=20, max_duration_s=60, max_channels=2
        )
        async with decode.open_recording(path, limits) as decoding:
            async for _ in decoding.blocks():
                pass
            sealed = decoding.facts.sealed
    return "works, " + ("without network and files" if sealed else "but this system cannot seal it off (no seccomp)")


async def _object_store() -> str:
    store = objects.ObjectStore.in_memory()
    await store.create("probe", b"1")
    try:
        await store.create("probe", b"2")
    except errors.AlreadyExistsError:
        return "refuses a second writer"
    raise errors.ConfigurationError("the object store let a second writer create the same object")


async def _clickhouse() -> str:
    import chdb

    return f"chdb {chdb.chdb_version} embedded, {len(clickhouse.statements())} statements to set it up"


async def _speech(configured: settings.Settings) -> str:
    backend = backends.build(configured.speech)
    await backend.start()
    try:
        result = await backend.transcribe(windows.Window("probe", "doctor", bytes(2 * windows.SAMPLE_RATE_HZ)))
        info = backend.info
    finally:
        await backend.close()
    took = "" if result.engine_s is None else f", a second of silence in {result.engine_s:.2f} s"
    return f"{info.model} by {info.backend}" + (f" ({info.precision})" if info.precision else "") + took


async def _kafka(configured: settings.Settings) -> str:
    there = await asyncio.to_thread(topics.existing, broker.client(configured.kafka, name="aftercall-doctor"))
    wanted = topics.wanted(configured)
    topics.refuse_missing([topic.name for topic in wanted], there)
    return f"answers, and has all {len(wanted)} topics"


async def _s3(configured: settings.Settings) -> str:
    found = configured.store
    if found.bucket is None:
        raise errors.ConfigurationError("store.bucket: names no bucket of transcripts and outcomes")
    await objects.check_there(found)
    ours = objects.ObjectStore.ours(found)
    await objects.check_create_only(ours, key=f"probes/doctor-{secrets.token_hex(4)}")
    named = ", ".join(bucket.name for bucket in found.recording_buckets) or "no bucket"
    return f"{found.bucket} refuses a second writer; recordings may lie in {named}"


async def _server(configured: settings.Settings) -> str:
    sink = clickhouse.ClickHouse.configured(configured.clickhouse)
    try:
        await sink.open()
    finally:
        await sink.close()
    return f"{configured.clickhouse.url} answers, and its tables are set up"


_EMBEDDED: Mapping[str, Callable[[], Awaitable[str]]] = {"object store": _object_store, "clickhouse": _clickhouse}


def _of_a_deployment(configured: settings.Settings) -> dict[str, Callable[[], Awaitable[str]]]:
    found: dict[str, Callable[[], Awaitable[str]]] = {
        "kafka": lambda: _kafka(configured),
        "object store": lambda: _s3(configured),
    }
    if configured.clickhouse.url is not None:
        found["clickhouse"] = lambda: _server(configured)
    elif configured.clickhouse.folder is not None:
        found["clickhouse"] = _clickhouse
    if configured.webhooks.api_url is not None:
        found["webhooks"] = lambda: _webhooks(configured)
    return found


def _tone() -> bytes:
    samples = [int(8000 * math.sin(2 * math.pi * 440 * at / 8000)) for at in range(8000)]
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return out.getvalue()
