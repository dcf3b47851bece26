"""Find where a channel holds speech, from the probability and energy of its frames, as they come.

Hysteresis after Silero VAD's own reference code: speech begins at a high probability and ends when a low one has
lasted. An energy gate follows, since the network at times takes minutes of near-silence for speech.
"""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

FRAME_SAMPLES = 512
Values = np.ndarray[typing.Any, np.dtype[np.float32]]


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of samples at 16 kHz."""

    start: int
    end: int

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return self.end - self.start


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """How speech is told from the rest.

    `pad_s` of true audio is kept on either side; `min_silence_s` (12 frames, 6,144 samples) exceeds two pads (6,080),
    so that pads never overlap.
    `max_piece_s` leaves room for both pads in a window of 30 s.
    """

    begin_probability: float = 0.5
    end_probability: float = 0.35
    min_silence_s: float = 0.4
    min_speech_s: float = 0.1
    pad_s: float = 0.19
    max_piece_s: float = 29.5
    floor_rms: float = 10 ** (-60 / 20)
    """Quieter than -60 dB of full scale is no call audio, whatever the network says."""
    over_noise: float = 1.6
    """A piece must be this much louder than the channel's own noise."""


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of speech with its pads; `speech` is the part without them."""

    span: Span
    speech: Span


def _frames(seconds: float) -> int:
    return round(seconds * 16_000 / FRAME_SAMPLES)


class SpeechFinder:
    """Finds the pieces of one channel; whatever the sizes of the blocks fed, the pieces are the same."""

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._at = 0
        self._begun: int | None = None
        self._quiet_since: int | None = None
        self._joined = False
        self._rms: list[float] = []
        self._noise_rms: float | None = None

    @property
    def open_since(self) -> int | None:
        """First sample that an unfinished piece may still need; None when no piece is open."""
        if self._begun is None:
            return None
        return max(0, self._begun * FRAME_SAMPLES - self.pad_samples)

    @property
    def pad_samples(self) -> int:
        """Samples of true audio that are kept before and after speech."""
        return int(self._options.pad_s * 16_000)

    def feed(self, probability: Values, rms: Values) -> list[Piece]:
        """Take the next frames; return the pieces that they completed."""
        pieces = []
        for chance, level in zip(probability.tolist(), rms.tolist(), strict=True):
            piece = self._frame(chance, level)
            if piece is not None:
                pieces.append(piece)
        return pieces

    def finish(self, n_samples: int) -> list[Piece]:
        """End the channel at `n_samples`; return the piece that was open, if any."""
        if self._begun is None:
            return []
        until = self._at if self._quiet_since is None else self._quiet_since
        piece = self._close(until)
        return [] if piece is None else [_clip(piece, n_samples)]

    def _frame(self, chance: float, level: float) -> Piece | None:
        options, piece = self._options, None
        if self._begun is None:
            if chance >= options.begin_probability:
                self._begun, self._quiet_since, self._joined, self._rms = self._at, None, False, [level]
            else:
                # A slow mean of what is surely no speech: a second of noise moves it by half.
                mean = self._noise_rms
                if chance < 0.2:
                    self._noise_rms = level if mean is None else mean + 0.02 * (level - mean)
        else:
            self._rms.append(level)
            if chance >= options.begin_probability:
                self._quiet_since = None
            elif chance < options.end_probability and self._quiet_since is None:
                self._quiet_since = self._at
            if self._quiet_since is not None and self._at + 1 - self._quiet_since >= _frames(options.min_silence_s):
                piece = self._close(self._quiet_since)
            elif len(self._rms) >= _frames(options.max_piece_s):
                piece = self._cut()
        self._at += 1
        return piece

    def _cut(self) -> Piece | None:
        """Cut a piece that has grown too long at the quietest frame of its last third, and go on behind the cut."""
        assert self._begun is not None
        late = len(self._rms) * 2 // 3
        cut = late + int(np.argmin(self._rms[late:]))
        rest, joined = self._rms[cut:], self._joined
        begun = self._begun
        piece = self._piece(begun, begun + cut, self._rms[:cut], joined_before=joined, joined_after=True)
        self._begun, self._rms, self._joined = begun + cut, rest, True
        return piece

    def _close(self, until: int) -> Piece | None:
        assert self._begun is not None
        begun, joined = self._begun, self._joined
        rms = self._rms[: until - begun]
        self._begun, self._quiet_since, self._rms, self._joined = None, None, [], False
        return self._piece(begun, until, rms, joined_before=joined, joined_after=False)

    def _piece(
        self, begun: int, until: int, rms: list[float], *, joined_before: bool, joined_after: bool
    ) -> Piece | None:
        options = self._options
        if until <= begun or (not joined_before and not joined_after and until - begun < _frames(options.min_speech_s)):
            return None
        loud = float(np.quantile(rms, 0.9))
        noise = self._noise_rms or 0.0
        if loud < options.floor_rms or loud < options.over_noise * noise:
            return None
        start, end = begun * FRAME_SAMPLES, until * FRAME_SAMPLES
        before = 0 if joined_before else self.pad_samples
        after = 0 if joined_after else self.pad_samples
        return Piece(Span(max(0, start - before), end + after), Span(start, end))


def _clip(piece: Piece, n_samples: int) -> Piece:
    return Piece(
        Span(min(piece.span.start, n_samples), min(piece.span.end, n_samples)),
        Span(min(piece.speech.start, n_samples), min(piece.speech.end, n_samples)),
    )
