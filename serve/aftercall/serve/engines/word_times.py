"""When each word was said: faster-whisper's alignment and its rules, over a batch of windows of different calls."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence

import numpy as np

if typing.TYPE_CHECKING:
    import ctranslate2
    import faster_whisper
    from faster_whisper import tokenizer

Segment = dict[str, typing.Any]
"""What faster-whisper calls a segment while it works: `start`, `end` (seconds), `tokens`, and here `words`."""

_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 -- full-width forms are what Chinese and Japanese text has


@dataclasses.dataclass(slots=True)
class Spoken:
    """What one row of a batch said in one pass. `seek` (where the pass began) and `size` are frames of 10 ms.

    `last_speech_s` is the end of the last word before this pass, and after `place` the end of its last.
    """

    segments: list[Segment]
    seek: int
    size: int
    tokenizer: tokenizer.Tokenizer
    last_speech_s: float


def place(whisper: faster_whisper.WhisperModel, encoded: ctranslate2.StorageView, rows: Sequence[Spoken]) -> None:
    """Give every segment its words; `encoded` has one row for each of `rows`, in their order.

    Rows of one language are aligned together: the alignment prompt names the language.
    """
    import ctranslate2

    languages = dict.fromkeys(row.tokenizer.language_code for row in rows)
    whole = np.array(encoded) if len(languages) > 1 else None
    for language in languages:
        at = [index for index, row in enumerate(rows) if row.tokenizer.language_code == language and row.segments]
        if not at:
            continue
        part = encoded
        if len(at) < len(rows):
            whole = np.array(encoded) if whole is None else whole
            part = ctranslate2.StorageView.from_array(np.ascontiguousarray(whole[at]))
        _place(whisper, part, [rows[index] for index in at])


def _place(whisper: faster_whisper.WhisperModel, encoded: ctranslate2.StorageView, rows: list[Spoken]) -> None:
    said = rows[0].tokenizer
    tokens = [[token for segment in row.segments for token in segment["tokens"] if token < said.eot] for row in rows]
    alignments = whisper.find_alignment(said, tokens, encoded, [row.size for row in rows])
    for row, alignment in zip(rows, alignments, strict=True):
        for segment in row.segments:
            segment["seek"] = row.seek
        _Aligned(whisper, alignment).attach(row)


class _Aligned:
    """faster-whisper's word rules for one row, over an alignment that was made for the whole batch at once."""

    def __init__(self, whisper: faster_whisper.WhisperModel, alignment: list[dict[str, typing.Any]]) -> None:
        self._alignment = alignment
        self.frames_per_second = whisper.frames_per_second

    def find_alignment(self, *_: typing.Any) -> list[list[dict[str, typing.Any]]]:
        return [self._alignment]

    def attach(self, row: Spoken) -> None:
        from faster_whisper import WhisperModel

        WhisperModel.add_word_timestamps(
            typing.cast(WhisperModel, self),
            [row.segments],
            row.tokenizer,
            None,
            0,
            _PREPENDED,
            _APPENDED,
            row.last_speech_s,
        )
        ends = [segment["words"][-1]["end"] for segment in row.segments if segment.get("words")]
        row.last_speech_s = float(ends[-1]) if ends else row.last_speech_s
