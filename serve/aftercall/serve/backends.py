"""Choose the speech backend that the settings ask for."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import pydantic

from aftercall.contracts import diarization, sections, windows
from aftercall.serve import allocator, hosting, packing
from aftercall.serve.clients import inprocess, replicas, servers

_MOST_WORKERS = 4


def prepare(speech: sections.Speech) -> None:
    """Make this process ready for an engine of its own, if it is to have one; at its beginning, see `allocator`."""
    if _kind(speech) == "inprocess" and speech.device != "cuda":
        allocator.keep_freed_memory()


def build(
    speech: sections.Speech, *, on_batch: Callable[[inprocess.BatchReport], None] = lambda _: None
) -> windows.SpeechBackend:
    """Build a backend; nothing is loaded and nothing connects before its `start`."""
    kind = _kind(speech)
    if kind in {"triton", "ray"} and speech.url is not None:
        return _remote(kind, speech, speech.url)
    if kind == "openai" and speech.url is not None:
        from aftercall.serve.clients import openai

        return openai.OpenAIBackend(
            str(speech.url),
            model=speech.model,
            api_key=speech.api_key.get_secret_value() if speech.api_key else None,
            max_in_flight=speech.max_windows_in_flight,
            request_timeout_s=speech.request_timeout_s,
        )

    threads = speech.threads or len(os.sched_getaffinity(0))
    # Batches of TensorRT-LLM mix in flight: while some of a batch are still being said, the next has begun.
    one = speech.device == "cuda" and speech.engine == "ctranslate2"
    workers = speech.workers or (1 if one else min(threads, _MOST_WORKERS))

    def load() -> hosting.Engine:
        if speech.engine == "tensorrt_llm":
            from aftercall.serve.engines import tensorrt_llm

            return tensorrt_llm.Engine(
                speech.model or "", precision=speech.precision, max_batch_windows=speech.max_batch_windows * workers
            )
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


def build_diarizer(configured: sections.Diarization) -> diarization.Diarizer | None:
    """Build what tells speakers apart; None where no settings ask for it. Nothing is loaded before its `start`."""
    from aftercall.serve.clients import diarizers

    if configured.url is not None and configured.backend != "inprocess":
        kind = configured.backend
        if kind == "auto":
            kind = "triton" if configured.url.scheme == "grpc" else "ray"
        asked = _servers(kind, configured.url, configured.request_timeout_s, for_turns=True)
        return diarizers.RemoteDiarizer(asked, max_in_flight=configured.max_in_flight)
    if configured.pipeline is None:
        return None
    name = configured.pipeline

    def load() -> diarizers.Pipeline:
        from aftercall.serve.engines import pyannote

        return pyannote.Pipeline(
            name,
            device=configured.device,
            batch_size=configured.batch_size,
            token=configured.token.get_secret_value() if configured.token else None,
        )

    return diarizers.InProcessDiarizer(load)


def _remote(kind: str, speech: sections.Speech, url: pydantic.AnyUrl) -> windows.SpeechBackend:
    from aftercall.serve.clients import remote

    asked = _servers(kind, url, speech.request_timeout_s, for_turns=False)
    return remote.RemoteBackend(asked, max_in_flight=speech.max_windows_in_flight)


def _servers(kind: str, url: pydantic.AnyUrl, timeout_s: float, *, for_turns: bool) -> servers.Servers:
    connect: Callable[[replicas.Address], servers.Channel]
    if kind == "triton":
        from aftercall.serve.clients import triton

        connect, port = functools.partial(triton.TritonChannel, model="diarization" if for_turns else "speech"), 8001
    else:
        from aftercall.serve.clients import ray

        path = packing.TURNS_PATH if for_turns else packing.WINDOWS_PATH
        connect, port = functools.partial(ray.RayChannel, path=path), 8000
    return servers.Servers(str(url.host), url.port or port, connect, request_timeout_s=timeout_s)


def _kind(speech: sections.Speech) -> str:
    if speech.backend != "auto":
        return speech.backend
    if speech.url is None:
        return "inprocess"
    return "triton" if speech.url.scheme == "grpc" else "openai"


def egress_host(speech: sections.Speech) -> str | None:
    """Return the host outside this installation that audio would go to; None when it stays inside.

    Triton and Ray servers host our own engine, and are as much of the installation as the consumers.
    """
    if speech.url is None or _kind(speech) != "openai" or speech.url.host is None:
        return None
    return None if speech.url.host in {"127.0.0.1", "localhost", "::1", "[::1]"} else speech.url.host
