"""Tell the speakers of a recording of one channel apart, where there is a diarizer; on several it is never asked."""

from __future__ import annotations

import asyncio
import logging
import pathlib

from aftercall.consumers.recording import decode, tee
from aftercall.consumers.transcript import document
from aftercall.contracts import diarization, errors, events, windows

log = logging.getLogger(__name__)


class Speaking:
    """Asks the diarizer for whole recordings; None never asks."""

    def __init__(self, diarizer: diarization.Diarizer | None, *, max_duration_s: float) -> None:
        self._diarizer = diarizer
        self._max_bytes = int(max_duration_s * windows.SAMPLE_RATE_HZ) * windows.BYTES_PER_SAMPLE

    def copy_of(self, decoding: decode.Decoding, into: pathlib.Path) -> tee.Tee | None:
        """Return a decoding that keeps its samples for the diarizer; None where nobody will ask for them."""
        if self._diarizer is None or decoding.facts.channels != 1:
            return None
        return tee.Tee(decoding, into)

    async def tell_apart(self, copy: tee.Tee, event: events.RecordingReady) -> document.Spoken | None:
        """Return who spoke when; no turns where that cannot be told. Raises `errors.TransientError` to try later."""
        if self._diarizer is None:
            return None
        info = self._diarizer.info
        if copy.into.stat().st_size > self._max_bytes:
            return document.Spoken((), info)
        pcm = await asyncio.to_thread(copy.into.read_bytes)
        asked = diarization.Conversation(event.tenant, pcm, event.min_speakers, event.max_speakers)
        try:
            return document.Spoken(await self._diarizer.diarize(asked), info)
        except errors.PermanentError as exc:
            # A call with its words and one speaker is worth more than none; the document says what is missing.
            log.warning("speakers not told apart", extra={"recording_id": event.recording_id, "reason": exc.reason})
            return document.Spoken((), info)
