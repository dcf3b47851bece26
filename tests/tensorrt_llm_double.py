"""A stand-in of TensorRT-LLM's LLM API that enforces what the real one does for Whisper, and hears by CTranslate2.

Requests end in an order of their own. Install it with `sys.modules["tensorrt_llm"] = tensorrt_llm_double.module()`.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import random
import threading
import time
import types
import typing

import faster_whisper
import material
import numpy as np

START = "<|startoftranscript|>"
POSITIONS = 448


class RequestError(Exception):
    """What the executor raises for a request."""


@dataclasses.dataclass
class SamplingParams:
    """Of the real one's fields those that are used; `max_tokens` is lowered in place, as the real one does."""

    max_tokens: int | None = 32
    temperature: float | None = None
    logprobs: int | None = None


@dataclasses.dataclass
class KvCacheConfig:
    """Of the real one's fields those that matter; block reuse is on unless it is switched off."""

    enable_block_reuse: bool = True
    cross_kv_cache_fraction: float | None = None


@dataclasses.dataclass
class Logprob:
    """One token's."""

    logprob: float


@dataclasses.dataclass
class Output:
    """What was generated."""

    text: str
    token_ids: list[int]
    logprobs: list[dict[int, Logprob]]


class Tokenizer:
    """The real one's two methods that are used."""

    def __init__(self, inner: typing.Any) -> None:
        self._inner = inner

    def get_vocab(self) -> dict[str, int]:
        """Return every token."""
        return dict(self._inner.get_vocab())

    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        """Write tokens."""
        return str(self._inner.decode(ids, skip_special_tokens=skip_special_tokens))


class LLM:
    """Hears by faster-whisper's model at `tests/fixtures`, whatever folder it is given."""

    def __init__(
        self,
        model: str,
        *,
        backend: str,
        dtype: str,
        max_batch_size: int,
        max_input_len: int = 1024,
        max_seq_len: int | None = None,
        max_num_tokens: int = 8192,
        enable_chunked_prefill: bool = False,
        cuda_graph_config: object = "on",
        kv_cache_config: KvCacheConfig | None = None,
    ) -> None:
        cache = kv_cache_config or KvCacheConfig()
        assert backend == "pytorch"
        assert (pathlib.Path(model) / "config.json").is_file()
        assert dtype in {"float16", "bfloat16"}
        assert cuda_graph_config is None, "CUDA graphs are not supported for encoder-decoder models"
        if max_input_len < 1500:
            raise RequestError(f"the max KV cache length of input sequences (1500) exceeds {max_input_len}")
        if not cache.cross_kv_cache_fraction:
            raise ValueError("encoder-decoder models need kv_cache_config.cross_kv_cache_fraction")
        self._reuses = cache.enable_block_reuse or enable_chunked_prefill
        self._whisper = faster_whisper.WhisperModel(str(material.MODEL), device="cpu", compute_type="int8")
        self.tokenizer = Tokenizer(self._whisper.hf_tokenizer)
        self._threads = concurrent.futures.ThreadPoolExecutor(8)
        self._lock = threading.Lock()
        self.n_requests = 0
        self.ended: list[int] = []

    def generate_async(self, inputs: dict[str, typing.Any], params: SamplingParams) -> typing.Any:
        """Check a request as the input processor does, in the caller's thread; then generate."""
        audio = inputs["multi_modal_data"]["audio"]
        wave, rate_hz = audio[0] if isinstance(audio, list) else audio
        if rate_hz != 16_000:
            raise ValueError(f"Whisper expects 16000 Hz audio; got {rate_hz}")
        if len(wave) > 30 * 16_000:
            raise ValueError("Whisper supports at most 30 s per request")
        assert wave.dtype == np.float32
        assert float(np.abs(wave).max(initial=0)) <= 1.0
        prompt = self._whisper.hf_tokenizer.encode(inputs["prompt"], add_special_tokens=False).ids
        if not inputs["prompt"].startswith(START):
            raise ValueError(f"a prompt overrides the decoder prompt and must start with {START}")
        params.max_tokens = min(params.max_tokens or POSITIONS, POSITIONS - len(prompt))
        if self._reuses and self.n_requests:
            raise ValueError("Request requires multimodal_embed_mask_cumsum for chunked prefill or KV-cache reuse")
        self.n_requests += 1
        number = self.n_requests
        future = self._threads.submit(self._generate, number, wave, prompt, params)
        return types.SimpleNamespace(result=lambda: types.SimpleNamespace(outputs=[future.result(60)]))

    def _generate(self, number: int, wave: typing.Any, prompt: list[int], params: SamplingParams) -> Output:
        from faster_whisper import audio

        time.sleep(random.uniform(0, 0.05))  # another order than the one they came in
        with self._lock:
            features = self._whisper.feature_extractor(np.pad(wave, (0, max(0, 400 - len(wave)))))
            encoded = self._whisper.encode(audio.pad_or_trim(features[:, : features.shape[1] - 1], 3000))
            if prompt == self._whisper.hf_tokenizer.encode(START, add_special_tokens=False).ids:
                token = self._whisper.model.detect_language(encoded)[0][0][0]
                ids, score = [self._whisper.hf_tokenizer.token_to_id(token)], -0.1
            else:
                told = self._whisper.model.generate(
                    encoded,
                    [prompt],
                    beam_size=1,
                    return_scores=True,
                    max_length=len(prompt) + (params.max_tokens or 0),
                    sampling_temperature=params.temperature or 1.0,
                    suppress_tokens=list(faster_suppressed(self._whisper)),
                )[0]
                ids, score = told.sequences_ids[0], told.scores[0]
            self.ended.append(number)
        logprobs = [{token: Logprob(score)} for token in ids] if params.logprobs is not None else []
        return Output(self._whisper.hf_tokenizer.decode(ids), ids, logprobs)


def faster_suppressed(whisper: faster_whisper.WhisperModel) -> tuple[int, ...]:
    """Return the tokens that are never said, which the real one leaves to the checkpoint's own generation settings."""
    from faster_whisper import tokenizer, transcribe

    told = tokenizer.Tokenizer(whisper.hf_tokenizer, True, task="transcribe", language="en")
    return transcribe.get_suppressed_tokens(told, [-1])


def module() -> types.ModuleType:
    """Return what `import tensorrt_llm` is to find."""
    found = types.ModuleType("tensorrt_llm")
    found.LLM = LLM  # type: ignore[attr-defined]
    api = types.ModuleType("tensorrt_llm.llmapi")
    api.SamplingParams, api.KvCacheConfig = SamplingParams, KvCacheConfig  # type: ignore[attr-defined]
    found.llmapi = api  # type: ignore[attr-defined]
    return found
