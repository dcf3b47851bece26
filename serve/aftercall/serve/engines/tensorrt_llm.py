"""Whisper by TensorRT-LLM's PyTorch backend, through its LLM API: one request a window, batched in flight by it.

What it wants (TensorRT-LLM pull request 16141, issues 19514 and 19515): a clip of at most 30 s at 16 kHz; a share of
the key-value cache for cross attention; room for the encoder's 1,500 positions; no block reuse and no CUDA graphs.
A prompt replaces the decoder's task tokens, so that nothing can stand before them: there is no vocabulary.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
import typing
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import models

_ENCODER_POSITIONS = 1_500
_MAX_TOKENS = 440
"""Of the decoder's 448 positions the task tokens take four."""
_START = "<|startoftranscript|>"
_PAST_TRANSLATION = ("turbo",)


class Engine:
    """A loaded model; any number of threads may call `transcribe`, whose windows then share its batches.

    Word times and no-speech probabilities are not to be had; log probabilities are where this version tells them.
    """

    def __init__(
        self,
        model: str,
        *,
        precision: str = "auto",
        max_batch_windows: int = 64,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        import tensorrt_llm
        from tensorrt_llm import llmapi

        folder = pathlib.Path(model).expanduser()
        if not (folder / "config.json").is_file():
            raise errors.ConfigurationError(f"no Whisper at {model}: give a folder as Hugging Face lays it out")
        self._sampling = llmapi.SamplingParams
        self._llm = tensorrt_llm.LLM(
            model=str(folder),
            backend="pytorch",
            dtype=precision if precision != "auto" else "float16",
            max_batch_size=max_batch_windows,
            max_input_len=_ENCODER_POSITIONS,
            max_seq_len=_ENCODER_POSITIONS,
            max_num_tokens=max_batch_windows * _ENCODER_POSITIONS,
            enable_chunked_prefill=False,
            cuda_graph_config=None,
            kv_cache_config=llmapi.KvCacheConfig(enable_block_reuse=False, cross_kv_cache_fraction=0.5),
        )
        self._clock = clock
        self._languages = _languages(self._llm.tokenizer)
        translates = len(self._languages) > 1 and not any(part in folder.name for part in _PAST_TRANSLATION)
        self.info = windows.BackendInfo(
            backend="tensorrt_llm",
            model=folder.name,
            revision=models.digest(folder / "config.json"),
            precision=precision,
            languages=self._languages or ("en",),
            capabilities=windows.Capabilities(
                word_times=False, logprobs=False, no_speech=False, translation=translates, prompts=False
            ),
        )

    def warm_up(self) -> None:
        """Run a second of silence through everything, and find out whether log probabilities are told."""
        silence = windows.Window("warm-up", "", bytes(2 * windows.SAMPLE_RATE_HZ), windows.Options(language="en"))
        told = self.transcribe([silence])[0].avg_logprob is not None
        can = dataclasses.replace(self.info.capabilities, logprobs=told)
        self.info = dataclasses.replace(self.info, capabilities=can)

    def bucket(self, window: windows.Window) -> Hashable:
        """Put all windows into one bucket: requests are independent. Raise for what cannot be served."""
        asked = window.options
        if asked.language is not None and asked.language not in self.info.languages:  # type: ignore[operator]
            raise errors.RejectedError(
                f"language {asked.language!r} is not one of the model's", reason=outcomes.Reason.UNKNOWN_LANGUAGE
            )
        if asked.task is windows.Task.TRANSLATE and not self.info.capabilities.translation:
            raise errors.RejectedError(
                f"model {self.info.model} cannot translate", reason=outcomes.Reason.UNSUPPORTED_OPTION
            )
        if asked.beam_size > 1 or asked.prompt or asked.timestamps:
            raise errors.PermanentError(
                "TensorRT-LLM's Whisper takes no beams, prompts and timestamps (speech.beam_size)",
                reason=outcomes.Reason.UNSUPPORTED_OPTION,
            )
        return None

    def transcribe(self, batch: Sequence[windows.Window]) -> list[windows.WindowResult]:
        """Transcribe windows; they end in any order, and are answered in that of the batch."""
        started = self._clock()
        detected = iter(self._detect([window for window in batch if window.options.language is None]))
        told = [window.options.language or next(detected) for window in batch]
        pending = [
            self._ask(window, self._prompt(window.options, language), window.options.max_new_tokens or _MAX_TOKENS)
            for window, language in zip(batch, told, strict=True)
        ]
        ended = [one.result().outputs[0] for one in pending]
        engine_s, signature = (self._clock() - started) / len(batch), self.info.signature
        return [
            windows.WindowResult(
                window_id=window.window_id,
                text=output.text,
                words=None,
                segments=(),
                language=language,
                language_probability=None,
                avg_logprob=_mean_logprob(output),
                no_speech_probability=None,
                temperature=window.options.temperature,
                engine_s=engine_s,
                heard_by=signature,
            )
            for window, language, output in zip(batch, told, ended, strict=True)
        ]

    def _detect(self, batch: Sequence[windows.Window]) -> list[str]:
        """Let the model say the first token itself, which is the language."""
        if len(self._languages) < 2:
            return ["en"] * len(batch)
        found = []
        for one in [self._ask(window, _START, 1) for window in batch]:
            token = self._llm.tokenizer.decode([one.result().outputs[0].token_ids[0]], skip_special_tokens=False)
            named = token.strip().removeprefix("<|").removesuffix("|>")
            # Silence may make it say something else than a language.
            found.append(named if named in self._languages else "en")
        return found

    def _prompt(self, asked: windows.Options, language: str) -> str:
        if len(self._languages) < 2:
            return f"{_START}<|notimestamps|>"
        return f"{_START}<|{language}|><|{asked.task}|><|notimestamps|>"

    def _ask(self, window: windows.Window, prompt: str, max_tokens: int) -> typing.Any:
        samples = np.frombuffer(window.pcm, dtype="<i2").astype(np.float32) / 32768
        return self._llm.generate_async(
            {"prompt": prompt, "multi_modal_data": {"audio": (samples, windows.SAMPLE_RATE_HZ)}},
            # One for each request: it lowers `max_tokens` in the one that it is given.
            self._sampling(max_tokens=max_tokens, temperature=window.options.temperature, logprobs=1),
        )


def _languages(tokenizer: typing.Any) -> tuple[str, ...]:
    """Return the languages that the model has a token for; none for one of English alone."""
    from faster_whisper import tokenizer as known

    vocabulary = tokenizer.get_vocab()
    return tuple(code for code in known._LANGUAGE_CODES if f"<|{code}|>" in vocabulary)


def _mean_logprob(output: typing.Any) -> float | None:
    told = getattr(output, "logprobs", None)
    if not told:
        return None
    chosen = [float(step[token].logprob) for step, token in zip(told, output.token_ids, strict=False)]
    return sum(chosen) / (len(chosen) + 1)
