"""Files to transcripts in this process, with no queue and nothing kept."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import typing
from collections.abc import AsyncIterator, Sequence

from aftercall.cli import clock, spool
from aftercall.consumers import checkpoints, recognition
from aftercall.consumers.intake import delivery
from aftercall.consumers.recording import fetch
from aftercall.contracts import events, identity, settings, transcript
from aftercall.contracts.tenants import TenantPolicy
from aftercall.serve import backends


class Offline:
    """Transcribes files, several at a time, so that they share batches."""

    def __init__(self, recognizer: recognition.Recognizer, max_open_calls: int) -> None:
        self._recognizer = recognizer
        self._room = asyncio.Semaphore(max_open_calls)

    async def transcribe(
        self, file: pathlib.Path, *, tenant: str, call_id: str, **known: typing.Any
    ) -> transcript.Transcript:
        """Make the transcript of one file; `known` are other fields of an event, such as `language`.

        Raises the error families of `contracts.errors`.
        """
        event = events.RecordingReady(
            tenant=tenant, call_id=call_id, recording_id=call_id, recording_uri=file.as_uri(), version="file", **known
        )
        work = identity.Work(event.recording, "file", 1)
        taken = delivery.Delivery(work, event, attempts=1, strikes=0, queued_at=0.0)
        async with self._room:
            return await self._recognizer.transcribe(taken, checkpoints.NoCheckpoints(), recognition.unreported)


@contextlib.asynccontextmanager
async def open_offline(
    configured: settings.Settings, files: Sequence[pathlib.Path], tenants: Sequence[str]
) -> AsyncIterator[Offline]:
    """Load the model and yield what hears these files of these tenants.

    Audio may go to the server that the settings name: it is the same person who names the server and the files.
    """
    host = backends.egress_host(configured.speech)
    known = {policy.name: policy for policy in configured.tenants}
    allowed = [
        known.get(tenant, TenantPolicy(name=tenant)).model_copy(update={"egress_hosts": (host,) if host else ()})
        for tenant in sorted(set(tenants))
    ]
    backend, diarizer = backends.build(configured.speech), backends.build_diarizer(configured.diarization)
    await backend.start()
    try:
        if diarizer is not None:
            await diarizer.start()
        with spool.open_spool() as folder:
            recognizer = recognition.Recognizer(
                backend,
                fetch.Fetcher(
                    folders=sorted({path.parent for path in files}),
                    max_size_bytes=configured.recording.max_size_bytes,
                ),
                configured.model_copy(update={"tenants": tuple(allowed)}),
                spool=folder,
                egress_host=host,
                diarizer=diarizer,
                now=clock.utc_now,
            )
            yield Offline(recognizer, configured.intake.max_open_calls)
    finally:
        await backend.close()
        if diarizer is not None:
            await diarizer.close()
