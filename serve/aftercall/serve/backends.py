"""Choose the speech backend that the settings ask for."""

from __future__ import annotations

import os
from collections.abc import Callable

import pydantic

from aftercall.contracts import sections, windows
from aftercall.serve import hosting
from aftercall.serve.clients import inprocess, replicas

_MOST_WORKERS = 4
_TRITON_PORT = 8001
_RAY_PORT = 8000


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
    workers = speech.workers or (min(threads, _MOST_WORKERS) if speech.device != "cuda" else 1)

    def load() -> hosting.Engine:
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


def _remote(kind: str, speech: sections.Speech, url: pydantic.AnyUrl) -> windows.SpeechBackend:
    from aftercall.serve.clients import remote, servers

    connect: Callable[[replicas.Address], servers.Channel]
    if kind == "triton":
        from aftercall.serve.clients import triton

        connect, port = triton.TritonChannel, _TRITON_PORT
    else:
        from aftercall.serve.clients import ray

        connect, port = ray.RayChannel, _RAY_PORT
    asked = servers.Servers(str(url.host), url.port or port, connect, request_timeout_s=speech.request_timeout_s)
    return remote.RemoteBackend(asked, max_in_flight=speech.max_windows_in_flight)


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
