"""From decoded blocks to windows of speech, channel by channel, holding no more audio than is still needed."""

from __future__ import annotations

import asyncio
import dataclasses
import typing
from collections.abc import AsyncIterator
from typing import Protocol

import numpy as np

from aftercall.consumers.recording import crosstalk, decode, frames, speech, tones, vad, windows

_MIN_SILENCE_S = 5.0
_VOICE = 0.5
Samples = np.ndarray[typing.Any, np.dtype[np.int16]]
Values = np.ndarray[typing.Any, np.dtype[np.float32]]


@dataclasses.dataclass(frozen=True, slots=True)
class CutWindow:
    """A window of one channel: its audio, where that lies in the call, and the speech found in it."""

    channel: int
    index: int
    pcm: bytes
    time_map: windows.TimeMap
    speech: tuple[speech.Span, ...]

    @property
    def speech_in_window_s(self) -> tuple[tuple[float, float], ...]:
        """Where in the window speech is, without pads: start and end of each stretch, in seconds."""
        found, at = [], 0
        for span, spoken in zip(self.time_map.spans, self.speech, strict=True):
            begins = at + spoken.start - span.start
            found.append((begins / windows.SAMPLE_RATE_HZ, (begins + spoken.n_samples) / windows.SAMPLE_RATE_HZ))
            at += span.n_samples
        return tuple(found)


@dataclasses.dataclass(frozen=True, slots=True)
class ChannelSummary:
    """What one channel held: its speech, its steady sounds, and the level of each frame of 512 samples (RMS)."""

    speech: tuple[speech.Span, ...]
    steady: tuple[tones.Stretch, ...]
    rms: Values


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What the whole recording held."""

    n_samples: int
    truncated: bool
    channels: tuple[ChannelSummary, ...]

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return self.n_samples / windows.SAMPLE_RATE_HZ

    def silences(self) -> list[speech.Span]:
        """Return stretches of five seconds and more in which no channel has speech or a steady sound."""
        busy = sorted(
            (span.start, span.end)
            for channel in self.channels
            for span in (*channel.speech, *(speech.Span(each.start, each.end) for each in channel.steady))
        )
        found, at = [], 0
        for start, end in [*busy, (self.n_samples, self.n_samples)]:
            if start - at >= _MIN_SILENCE_S * windows.SAMPLE_RATE_HZ:
                found.append(speech.Span(at, start))
            at = max(at, end)
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Chunk:
    probability: Values
    rms: Values
    sound: tones.Sound


class ChannelCutter:
    """Cuts one channel. Sounds are judged a second at a time, one second behind: music must last two to be believed."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._vad = vad.SpeechProbability()
        self._finder = speech.SpeechFinder()
        self._merger = windows.Merger()
        self._audio = np.zeros(0, dtype=np.int16)
        self._audio_from = 0
        self._n_samples = 0
        self._chunks: list[_Chunk] = []
        self._sounds: list[tones.Sound] = []
        self._parts: list[bytes] = []
        self._n_windows = 0
        self._speech: list[speech.Span] = []
        self._rms: list[Values] = []

    def feed(self, chunk: Samples, leaked: crosstalk.Flags, *, last: bool = False) -> list[CutWindow]:
        """Take the next chunk, and which of its frames are another channel's; return the windows it completed."""
        self._audio = np.concatenate([self._audio, chunk])
        self._n_samples += len(chunk)
        probability, rms = self._vad.feed(chunk, last=last)
        probability[leaked[: len(probability)]] = 0
        self._rms.append(rms)
        self._chunks.append(_Chunk(probability, rms, tones.listen(chunk)))
        found = self._settle(following=self._chunks[1]) if len(self._chunks) > 1 else []
        if last:
            found += self._settle(following=None)
            for piece in self._finder.finish(self._n_samples):
                found += self._take(piece)
            found += self._window(self._merger.close(), upto=len(self._parts))
        self._forget()
        return found

    @property
    def next_from(self) -> int:
        """First sample that a window which has not been cut yet may hold."""
        for begins in (self._merger.open_since, self._finder.open_since):
            if begins is not None:
                return begins
        return max(0, len(self._sounds) * tones.CHUNK_SAMPLES - self._finder.pad_samples)

    def summary(self) -> ChannelSummary:
        """Return what the channel held; valid once finished."""
        steady = tones.stretches(self._sounds)
        clipped = [dataclasses.replace(each, end=min(each.end, self._n_samples)) for each in steady]
        rms = np.concatenate(self._rms) if self._rms else np.zeros(0, dtype=np.float32)
        return ChannelSummary(tuple(self._speech), tuple(clipped), rms)

    def _settle(self, *, following: _Chunk | None) -> list[CutWindow]:
        """Give the oldest chunk's frames to the finder, with those of steady sound silenced."""
        chunk = self._chunks.pop(0)
        before = self._sounds[-1] if self._sounds else tones.Sound.OTHER
        after = following.sound if following is not None else tones.Sound.OTHER
        self._sounds.append(chunk.sound)
        probability = chunk.probability
        if chunk.sound is not tones.Sound.OTHER and chunk.sound in (before, after):
            # A voice that goes on into the next second began in this one: leave it what leads up to the border.
            kept = np.zeros_like(probability)
            if following is not None and after is tones.Sound.OTHER and following.probability[0] >= _VOICE:
                first = len(probability) - int(np.argmax(np.append(probability[::-1] < _VOICE, True)))
                kept[first:] = probability[first:]
            probability = kept
        found: list[CutWindow] = []
        for piece in self._finder.feed(probability, chunk.rms):
            found += self._take(piece)
        begins = self._finder.open_since
        settled = len(self._sounds) * tones.CHUNK_SAMPLES
        return found + self._window(self._merger.pass_by(settled if begins is None else begins), upto=len(self._parts))

    def _take(self, piece: speech.Piece) -> list[CutWindow]:
        start, end = piece.span.start - self._audio_from, min(piece.span.end, self._n_samples) - self._audio_from
        self._speech.append(piece.speech)
        self._parts.append(self._audio[start:end].astype("<i2").tobytes())
        return self._window(self._merger.add(piece), upto=len(self._parts) - 1)

    def _window(self, plan: windows.Plan | None, *, upto: int) -> list[CutWindow]:
        if plan is None:
            return []
        pcm, self._parts = b"".join(self._parts[:upto]), self._parts[upto:]
        self._n_windows += 1
        return [CutWindow(self._channel, self._n_windows - 1, pcm, plan.time_map, plan.speech)]

    def _forget(self) -> None:
        """Drop audio that no piece can need any more: a piece begins at most its pad before an unsettled chunk."""
        settled = len(self._sounds) * tones.CHUNK_SAMPLES
        begins = self._finder.open_since
        needed = min(settled - tones.CHUNK_SAMPLES, begins if begins is not None else settled)
        if needed > self._audio_from:
            self._audio = self._audio[needed - self._audio_from :].copy()
            self._audio_from = needed


class Decoding(Protocol):
    """A recording that is being decoded."""

    @property
    def facts(self) -> frames.Facts:
        """What the container says of itself."""
        ...

    @property
    def trailer(self) -> frames.Trailer:
        """How decoding ended."""
        ...

    def blocks(self) -> AsyncIterator[decode.Block]:
        """Yield the blocks."""
        ...


class Cutter:
    """Cuts a recording while it is being decoded; `summary` tells what it held once `windows` has ended."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._channels = [ChannelCutter(channel) for channel in range(decoding.facts.channels)]
        self._rest = np.zeros((decoding.facts.channels, 0), dtype=np.int16)
        self._summary: Summary | None = None

    @property
    def summary(self) -> Summary:
        """What the recording held."""
        if self._summary is None:
            raise RuntimeError("cutting has not ended")
        return self._summary

    @property
    def next_from_s(self) -> float:
        """Second of the call before which no further window begins."""
        return min(channel.next_from for channel in self._channels) / windows.SAMPLE_RATE_HZ

    async def windows(self) -> AsyncIterator[CutWindow]:
        """Yield windows as they are completed; decoding waits while nobody takes them."""
        async for block in self._decoding.blocks():
            for window in await asyncio.to_thread(self._feed, block):
                yield window
        for window in await asyncio.to_thread(self._finish):
            yield window
        trailer = self._decoding.trailer
        self._summary = Summary(
            trailer.n_samples, trailer.truncated, tuple(channel.summary() for channel in self._channels)
        )

    def _feed(self, block: decode.Block) -> list[CutWindow]:
        self._rest = np.concatenate([self._rest, block], axis=1)
        found: list[CutWindow] = []
        # The last chunk is kept back, since only the end of the recording tells that it is the last.
        while self._rest.shape[1] > tones.CHUNK_SAMPLES:
            chunk, self._rest = self._rest[:, : tones.CHUNK_SAMPLES], self._rest[:, tones.CHUNK_SAMPLES :]
            found += self._cut(chunk, last=False)
        return found

    def _finish(self) -> list[CutWindow]:
        return self._cut(self._rest, last=True)

    def _cut(self, chunk: decode.Block, *, last: bool) -> list[CutWindow]:
        missing = -chunk.shape[1] % speech.FRAME_SAMPLES
        whole = np.pad(chunk, ((0, 0), (0, missing))) if missing else chunk
        leaked = crosstalk.leaked(whole, speech.FRAME_SAMPLES)
        return [
            window
            for at, channel in enumerate(self._channels)
            for window in channel.feed(chunk[at], leaked[at], last=last)
        ]
