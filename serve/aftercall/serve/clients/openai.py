"""A speech backend behind an OpenAI-compatible transcription server (`POST …/v1/audio/transcriptions`).

Each window goes as a WAV of its own; the server batches, or not. What it does not tell is None in the result.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import math
import wave
from typing import Any

import httpx2

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import language_names
from aftercall.serve.clients import waiting

_PATH = "/audio/transcriptions"
_RETRY_AFTER_S = 5.0
_NOT_THAT_FORM = frozenset({400, 415, 422})
"""How servers refuse `verbose_json`: vLLM for models that have no times, such as Qwen's."""


class OpenAIBackend:
    """Implements `windows.SpeechBackend` over HTTP."""

    def __init__(
        self, url: str, *, model: str | None, api_key: str | None, max_in_flight: int, request_timeout_s: float
    ) -> None:
        self._url = endpoint(url)
        self._model = model or "whisper-1"
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # No redirects: audio goes where the settings say and nowhere else.
        self._client = httpx2.AsyncClient(headers=headers, timeout=request_timeout_s, follow_redirects=False)
        self._room = asyncio.Semaphore(max_in_flight)
        self._verbose = True
        self._tells = windows.Capabilities(
            word_times=True, logprobs=True, no_speech=True, translation=False, prompts=True
        )

    @property
    def info(self) -> windows.BackendInfo:
        """What answers, as far as a server behind an address can be known: what it can tell shows in its answers."""
        return windows.BackendInfo(
            backend="openai",
            model=self._model,
            revision="unknown",
            precision=None,
            languages=None,
            capabilities=self._tells,
        )

    async def start(self) -> None:
        """Need nothing: a server that is down shows at the first window, and its calls wait."""

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def transcribe(self, window: windows.Window) -> windows.WindowResult:
        """Transcribe one window by one request."""
        asked = window.options
        if asked.task is windows.Task.TRANSLATE:
            raise errors.RejectedError(
                "translation is not available from an OpenAI-compatible backend",
                reason=outcomes.Reason.UNSUPPORTED_OPTION,
            )
        async with self._room:
            verbose = self._verbose
            answer = await self._post(window, verbose=verbose)
            if verbose and answer.status_code in _NOT_THAT_FORM:
                # Refused for its form, or for what is in it? The plain form tells; a server that takes it keeps to it.
                plain = await self._post(window, verbose=False)
                if plain.status_code == 200:
                    self._verbose, answer = False, plain
        result = self._read(window, answer)
        self._tells = dataclasses.replace(
            self._tells,
            word_times=result.words is not None,
            logprobs=result.avg_logprob is not None,
            no_speech=result.no_speech_probability is not None,
        )
        return result

    async def _post(self, window: windows.Window, *, verbose: bool) -> httpx2.Response:
        asked = window.options
        form: dict[str, Any] = {"model": self._model, "temperature": str(asked.temperature), "response_format": "json"}
        if verbose:
            form |= {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
        if asked.language is not None:
            form["language"] = asked.language
        if asked.prompt is not None:
            form["prompt"] = asked.prompt
        try:
            return await self._client.post(
                self._url, data=form, files={"file": ("window.wav", wav(window.pcm), "audio/wav")}
            )
        except httpx2.HTTPError as exc:
            raise _unavailable(f"the speech server cannot be reached ({type(exc).__name__})", None) from exc

    def _read(self, window: windows.Window, answer: httpx2.Response) -> windows.WindowResult:
        status = answer.status_code
        if status == 429:
            raise _unavailable(
                "the speech server is busy", answer.headers.get("retry-after"), reason=outcomes.Reason.BACKEND_BUSY
            )
        if status in {408, 409, 425} or status >= 500:
            raise _unavailable(f"the speech server answered {status}", answer.headers.get("retry-after"))
        if status != 200:
            raise errors.PermanentError(
                f"the speech server refused the window with {status}", reason=outcomes.Reason.BACKEND_REFUSED
            )
        try:
            plain = answer.json()
        except ValueError as exc:
            raise _unavailable("the speech server's answer is not JSON", None) from exc
        if not isinstance(plain, dict) or not isinstance(plain.get("text"), str):
            raise errors.PermanentError(
                "the speech server's answer holds no text", reason=outcomes.Reason.BACKEND_REFUSED
            )
        return read_result(window, plain)


def endpoint(url: str) -> str:
    """Complete the address of a server, given with or without `/v1` or the whole path."""
    bare = url.rstrip("/")
    if bare.endswith(_PATH):
        return bare
    return bare + _PATH if bare.endswith("/v1") else f"{bare}/v1{_PATH}"


def wav(pcm: bytes) -> bytes:
    """Wrap 16-bit 16 kHz mono samples in a WAV header."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(windows.BYTES_PER_SAMPLE)
        file.setframerate(windows.SAMPLE_RATE_HZ)
        file.writeframes(pcm)
    return out.getvalue()


def read_result(window: windows.Window, plain: dict[str, Any]) -> windows.WindowResult:
    """Read a verbose_json answer; a field that is missing or makes no sense is None."""
    segments = [segment for segment in plain.get("segments") or () if isinstance(segment, dict)]
    words = plain.get("words")
    if words is None and any(isinstance(segment.get("words"), list) for segment in segments):
        words = [word for segment in segments for word in segment.get("words") or ()]
    language = plain.get("language")
    return windows.WindowResult(
        window_id=window.window_id,
        text=plain["text"],
        words=None if not isinstance(words, list) else tuple(_words(words, window.duration_s)),
        segments=tuple(
            windows.TextSegment(str(segment.get("text", "")), start_s, end_s)
            for segment in segments
            if (start_s := _number(segment.get("start"))) is not None
            and (end_s := _number(segment.get("end"))) is not None
        ),
        language=language_names.code_of(language) if isinstance(language, str) and language else None,
        language_probability=None,
        avg_logprob=_mean(segments, "avg_logprob"),
        no_speech_probability=_number(segments[0].get("no_speech_prob")) if segments else None,
        temperature=window.options.temperature,
    )


def _words(plain: list[Any], duration_s: float) -> list[windows.Word]:
    words = []
    for word in plain:
        if not isinstance(word, dict):
            continue
        start_s, end_s = _number(word.get("start")), _number(word.get("end"))
        if start_s is None or end_s is None:
            continue
        start_s = min(max(0.0, start_s), duration_s)
        text = str(word.get("word", "")).strip()
        probability = _number(word.get("probability"))
        words.append(windows.Word(f" {text}", start_s, min(max(start_s, end_s), duration_s), probability))
    return words


def _mean(segments: list[dict[str, Any]], name: str) -> float | None:
    values = [value for segment in segments if (value := _number(segment.get(name))) is not None]
    return sum(values) / len(values) if values else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _unavailable(
    message: str, retry_after: str | None, *, reason: outcomes.Reason = outcomes.Reason.BACKEND_UNAVAILABLE
) -> errors.TransientError:
    delay_s = waiting.retry_after_s(retry_after, otherwise_s=_RETRY_AFTER_S)
    return errors.TransientError(message, reason=reason, retry_after_s=delay_s)
