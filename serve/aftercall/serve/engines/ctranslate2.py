"""Whisper by CTranslate2: one blocking call takes a batch of windows of different calls.

Tokenizer, features, prompts, the splitting by timestamps and the word times are faster-whisper's, so that a window's
text and times are what `WhisperModel.transcribe` would say of it; what is ours is that rows of a batch are
independent of each other.
"""

from __future__ import annotations

import dataclasses
import time
import typing
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import allocator, models
from aftercall.serve.engines import word_times

if typing.TYPE_CHECKING:
    import ctranslate2
    import faster_whisper

Array = np.ndarray[typing.Any, np.dtype[np.float32]]

_PAST_TRANSLATION = ("turbo",)
"""Models trained without the translation task say in the source language whatever they are asked."""
MAX_INITIAL_TIMESTAMP_INDEX = 50
_WHOLE_FRAMES = 3_000


@dataclasses.dataclass(slots=True)
class _Row:
    """What is known of one window while its batch runs; `seek` is in frames of 10 ms."""

    window: windows.Window
    features: Array
    language: str
    language_probability: float | None
    seek: int = 0
    last_speech_s: float = 0.0
    tokens: list[int] = dataclasses.field(default_factory=list)
    logprob: float = 0.0
    no_speech: float | None = None
    segments: list[windows.TextSegment] = dataclasses.field(default_factory=list)
    words: list[windows.Word] = dataclasses.field(default_factory=list)

    @property
    def content_frames(self) -> int:
        return int(self.features.shape[-1]) - 1


class Engine:
    """A loaded model. Up to `workers` batches may run at once, each on its own share of the threads.

    On a CPU, two workers of one thread each do 1.4 times the work of one worker with two threads: nothing waits for
    another thread inside a layer (tiny: 0.25 against 0.35 s a window of 20 s; base: 0.54 against 0.76 s).
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        workers: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        import ctranslate2
        import faster_whisper

        on_gpu = device == "cuda" or (device == "auto" and ctranslate2.get_cuda_device_count() > 0)
        if not on_gpu:
            allocator.keep_freed_memory()
        name = model or (models.DEFAULT_ON_GPU if on_gpu else models.DEFAULT_ON_CPU)
        folder = models.locate(name)
        compute = precision if precision != "auto" else ("int8_float16" if on_gpu else "int8")
        try:
            self._whisper: faster_whisper.WhisperModel = faster_whisper.WhisperModel(
                str(folder),
                device="cuda" if on_gpu else "cpu",
                compute_type=compute,
                cpu_threads=max(1, threads // workers) if threads else 0,
                num_workers=workers,
            )
        except (RuntimeError, ValueError) as exc:
            raise errors.ConfigurationError(f"model {name} does not load with precision {compute}: {exc}") from exc
        self._clock = clock
        translates = self._whisper.model.is_multilingual and not any(part in name for part in _PAST_TRANSLATION)
        self.info = windows.BackendInfo(
            backend="ctranslate2",
            model=folder.name if name == str(folder) else name,
            revision=models.revision(folder),
            precision=compute,
            languages=tuple(self._whisper.supported_languages),
            capabilities=windows.Capabilities(
                word_times=True, logprobs=True, no_speech=True, translation=translates, prompts=True
            ),
        )

    def warm_up(self) -> None:
        """Run one second of silence through everything, so that the first call does not pay for it."""
        silence = windows.Window("warm-up", "", bytes(2 * windows.SAMPLE_RATE_HZ), windows.Options(max_new_tokens=4))
        self.transcribe([silence])

    def bucket(self, window: windows.Window) -> Hashable:
        """Return what windows of one batch must have in common; raise `errors.PermanentError` where none can serve.

        Language and prompt may differ by row, but CTranslate2 wants the start-of-transcript token at one position,
        so prompts of a batch have one length (OpenNMT/CTranslate2 issue 1118); `fill_prompt` makes lengths fewer.
        """
        asked = window.options
        known = self.info.languages
        if asked.language is not None and known is not None and asked.language not in known:
            raise errors.RejectedError(
                f"language {asked.language!r} is not one of the model's ({', '.join(known[:12])}, …)",
                reason=outcomes.Reason.UNKNOWN_LANGUAGE,
            )
        if asked.task is windows.Task.TRANSLATE and not self.info.capabilities.translation:
            raise errors.RejectedError(
                f"model {self.info.model} cannot translate", reason=outcomes.Reason.UNSUPPORTED_OPTION
            )
        shared = dataclasses.replace(asked, language=None, prompt=None)
        return shared, len(self._prompt(asked, asked.language or known_language(known))), padded_frames(window)

    def transcribe(self, batch: Sequence[windows.Window]) -> list[windows.WindowResult]:
        """Transcribe windows of one bucket; results are in the order of the batch."""
        started = self._clock()
        rows = [_Row(window, self._features(window), window.options.language or "", None) for window in batch]
        left = [row for row in rows if row.content_frames > 0]
        while left:
            self._pass(left)
            left = [row for row in left if row.seek < row.content_frames]
        engine_s = (self._clock() - started) / len(rows)
        return [self._result(row, engine_s) for row in rows]

    def _features(self, window: windows.Window) -> Array:
        samples = np.frombuffer(window.pcm, dtype="<i2").astype(np.float32) / 32768
        # The reflecting STFT needs 200 samples on either side; a shorter window is silence beyond its end anyway.
        if len(samples) < 400:
            samples = np.pad(samples, (0, 400 - len(samples)))
        return typing.cast(Array, self._whisper.feature_extractor(samples))

    def _pass(self, rows: list[_Row]) -> None:
        """Decode each row from where it stands, once."""
        from faster_whisper import audio

        sizes = [min(self._whisper.feature_extractor.nb_max_frames, row.content_frames - row.seek) for row in rows]
        length = max(padded_frames(row.window) for row in rows)
        mel = np.stack(
            [
                audio.pad_or_trim(row.features[:, row.seek : row.seek + size], length)
                for row, size in zip(rows, sizes, strict=True)
            ]
        )
        encoded = self._encode(mel)
        self._detect_languages(rows, encoded)
        asked = rows[0].window.options
        generated = self._generate(rows, encoded, asked)
        splits = []
        for row, size, result in zip(rows, sizes, generated, strict=True):
            tokens = result.sequences_ids[0]
            row.tokens += tokens
            row.logprob += result.scores[0] * len(tokens)
            row.no_speech = result.no_speech_prob if row.no_speech is None else row.no_speech
            splits.append(self._split(row, tokens, size))
        if asked.word_times:
            self._place_words(rows, sizes, encoded, [segments for segments, _, _ in splits])
        for row, size, (segments, seek, closed) in zip(rows, sizes, splits, strict=True):
            if not asked.timestamps:
                seek = row.seek + size  # one pass: what follows the last word is silence, and asking again invents
            elif asked.word_times and not closed:
                ends = [segment["words"][-1]["end"] for segment in segments if segment["words"]]
                if ends and ends[-1] > row.seek / 100:
                    seek = round(ends[-1] * 100)
            self._keep(row, segments)
            row.seek = max(seek, row.seek + 1)

    def _encode(self, mel: Array) -> ctranslate2.StorageView:
        """Encode windows: together on a GPU, one by one on a CPU, whose caches a batch of them overflows.

        (base, one thread: 0.41 s a window alone, 0.49 s in a batch of four; decoding them together still pays.)
        """
        import ctranslate2

        if self._whisper.model.device != "cpu" or len(mel) == 1:
            return self._whisper.encode(mel)
        return ctranslate2.StorageView.from_array(np.concatenate([np.array(self._whisper.encode(row)) for row in mel]))

    def _detect_languages(self, rows: list[_Row], encoded: ctranslate2.StorageView) -> None:
        if all(row.language for row in rows):
            return
        if not self._whisper.model.is_multilingual:
            for row in rows:
                row.language = row.language or "en"
            return
        for row, ranked in zip(rows, self._whisper.model.detect_language(encoded), strict=True):
            if not row.language:
                token, probability = ranked[0]
                row.language, row.language_probability = token[2:-2], probability

    def _generate(
        self, rows: list[_Row], encoded: ctranslate2.StorageView, asked: windows.Options
    ) -> list[ctranslate2.models.WhisperGenerationResult]:
        from faster_whisper import transcribe

        prompts = [self._prompt(row.window.options, row.language) for row in rows]
        longest = self._whisper.max_length
        limit = longest if asked.max_new_tokens is None else min(longest, len(prompts[0]) + asked.max_new_tokens)
        how: dict[str, typing.Any] = (
            {"beam_size": asked.beam_size, "patience": 1}
            if asked.temperature == 0
            else {"beam_size": 1, "num_hypotheses": 1, "sampling_topk": 0, "sampling_temperature": asked.temperature}
        )
        return list(
            self._whisper.model.generate(
                encoded,
                prompts,
                max_length=limit,
                return_scores=True,
                return_no_speech_prob=True,
                suppress_blank=True,
                suppress_tokens=transcribe.get_suppressed_tokens(self._tokenizer(asked, rows[0].language), [-1]),
                max_initial_timestamp_index=MAX_INITIAL_TIMESTAMP_INDEX,
                **how,
            )
        )

    def _split(self, row: _Row, tokens: list[int], size: int) -> tuple[list[word_times.Segment], int, bool]:
        segments, seek, closed = self._whisper._split_segments_by_timestamps(
            tokenizer=self._tokenizer(row.window.options, row.language),
            tokens=tokens,
            time_offset=row.seek / 100,
            segment_size=size,
            segment_duration=size / 100,
            seek=row.seek,
        )
        return segments, seek, closed

    def _place_words(
        self,
        rows: list[_Row],
        sizes: list[int],
        encoded: ctranslate2.StorageView,
        segments: list[list[word_times.Segment]],
    ) -> None:
        spoken = [
            word_times.Spoken(
                said, row.seek, size, self._tokenizer(row.window.options, row.language), row.last_speech_s
            )
            for row, size, said in zip(rows, sizes, segments, strict=True)
        ]
        word_times.place(self._whisper, encoded, spoken)
        for row, told in zip(rows, spoken, strict=True):
            row.last_speech_s = told.last_speech_s

    def _keep(self, row: _Row, segments: list[word_times.Segment]) -> None:
        tokenizer = self._tokenizer(row.window.options, row.language)
        for segment in segments:
            text = tokenizer.decode(segment["tokens"])
            if segment["start"] == segment["end"] or not text.strip():
                continue
            row.segments.append(windows.TextSegment(text, float(segment["start"]), float(segment["end"])))
            row.words += [
                windows.Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]))
                for word in segment.get("words", ())
            ]

    def _result(self, row: _Row, engine_s: float) -> windows.WindowResult:
        asked = row.window.options
        return windows.WindowResult(
            window_id=row.window.window_id,
            text="".join(segment.text for segment in row.segments),
            words=tuple(row.words) if asked.word_times else None,
            segments=tuple(row.segments) if asked.timestamps else (),
            language=row.language or None,
            language_probability=row.language_probability,
            avg_logprob=row.logprob / (len(row.tokens) + 1),
            no_speech_probability=row.no_speech,
            temperature=asked.temperature,
            engine_s=engine_s,
            heard_by=self.info.signature,
        )

    def _prompt(self, asked: windows.Options, language: str) -> list[int]:
        tokenizer = self._tokenizer(asked, language)
        previous = tokenizer.encode(" " + asked.prompt.strip()) if asked.prompt else []
        if asked.fill_prompt:
            previous = filled(previous, room=self._whisper.max_length // 2 - 1)
        found = self._whisper.get_prompt(tokenizer, previous, without_timestamps=not asked.timestamps)
        return typing.cast("list[int]", found)

    def _tokenizer(self, asked: windows.Options, language: str) -> typing.Any:
        from faster_whisper import tokenizer

        multilingual = self._whisper.model.is_multilingual
        return tokenizer.Tokenizer(
            self._whisper.hf_tokenizer, multilingual, task=str(asked.task), language=language if multilingual else "en"
        )


def padded_frames(window: windows.Window) -> int:
    """Return the frames of 10 ms that a window is encoded in: Whisper's 3,000, or fewer where it may be trimmed.

    Never under 10 s, and at least 2 s of silence after the window, without which models repeat themselves.
    """
    if not window.options.trim:
        return _WHOLE_FRAMES
    needed = window.n_samples // 160 + 200
    return min(_WHOLE_FRAMES, max(1_000, -(-needed // 500) * 500))


def filled(tokens: list[int], *, room: int) -> list[int]:
    """Return a prompt with its end said before it too, up to the next power of two or to `room`: nothing stands thrice.

    What is nearest to the speech weighs most, and stays as it was.
    """
    if not tokens:
        return tokens
    return (tokens + tokens)[-min(room, 1 << (len(tokens) - 1).bit_length()) :]


def known_language(languages: tuple[str, ...] | None) -> str:
    """Return a language whose prompt is as long as any other's."""
    return languages[0] if languages else "en"
