"""Choose the speech backend that the settings ask for."""

from __future__ import annotations

import os
from collections.abc import Callable

from aftercall.contracts import sections, windows
from aftercall.serve.clients import inprocess

_MOST_WORKERS = 4


def build(
    speech: sections.Speech, *, on_batch: Callable[[inprocess.BatchReport], None] = lambda _: None
) -> windows.SpeechBackend:
    """Build a backend; nothing is loaded and nothing connects before its `start`."""
    if speech.url is not None and speech.backend != "inprocess":
        from aftercall.serve.clients import openai

        return openai.OpenAIBackend(
            str(speech.url),
            model=speech.model,
            api_key=speech.api_key.get_secret_value() if speech.api_key else None,
            max_in_flight=speech.max_windows_in_flight,
            request_timeout_s=speech.request_timeout_s,
        )

    threads = speech.threads or len(os.sched_getaffinity(0))
    workers = speech.workers or (min(threads, _MOST_WORKERS) if speech.device != "cuda" else 1)

    def load() -> inprocess.BatchEngine:
        from aftercall.serve.engines import ctranslate2

        return ctranslate2.Engine(
            speech.model, device=speech.device, precision=speech.precision, threads=threads, workers=workers
        )

    return inprocess.InProcessBackend(
        load,
        max_batch_windows=speech.max_batch_windows,
        max_wait_s=speech.max_wait_s,
        max_in_flight=speech.max_windows_in_flight,
        workers=workers,
        on_batch=on_batch,
    )


def egress_host(speech: sections.Speech) -> str | None:
    """Return the host outside this machine that audio would go to; None when it stays here."""
    if speech.url is None or speech.backend == "inprocess" or speech.url.host is None:
        return None
    return None if speech.url.host in {"127.0.0.1", "localhost", "::1", "[::1]"} else speech.url.host
