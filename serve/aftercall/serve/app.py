"""The Ray Serve application: `serve run aftercall.serve.app:app`, with settings from the environment and a file.

Two deployments: `speech` hosts an engine and batches the windows of all clients; the ingress takes them over HTTP. A
replica is ready once its model is loaded and warm, and holds no more windows than its settings say.

Of what a window waits beside its engine most is copying it from process to process. With Ray's HAProxy
(`RAY_SERVE_ENABLE_HA_PROXY=1`) and `RAY_SERVE_THROUGHPUT_OPTIMIZED=1` that is 7 ms, without them 14.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import fastapi
from ray import serve
from ray.serve import exceptions, handle

from aftercall.contracts import errors, sections, settings, windows
from aftercall.serve import allocator, backends, packing, ray_metrics, turns, wire

_RETRY_AFTER_S = 1
_BATCHES_HELD = 2
"""Batches' worth of windows that a replica holds, one that runs and one that is ready; what else waits is anybody's."""

http = fastapi.FastAPI(docs_url=None, redoc_url=None)


class Speech:
    """One replica: an engine, and the line of windows before it."""

    async def __init__(self, speech: sections.Speech) -> None:  # type: ignore[misc]  # Ray awaits it
        self._backend = backends.build(speech, on_batch=ray_metrics.Batches().count)
        await self._backend.start()

    async def answer(self, head: bytes, pcm: bytes) -> bytes:
        """Answer one request; see `wire`."""
        told: windows.WindowResult | windows.BackendInfo | Exception
        try:
            window = wire.read_request(head, pcm)
            told = self._backend.info if window is None else await self._backend.transcribe(window)
        except errors.AftercallError as exc:
            told = exc
        return wire.answer(told)


class Diarization:
    """One replica: a pipeline, which takes one recording at a time."""

    async def __init__(self, configured: sections.Diarization) -> None:  # type: ignore[misc]  # Ray awaits it
        found = backends.build_diarizer(configured)
        assert found is not None
        self._diarizer = found
        await self._diarizer.start()

    async def answer(self, head: bytes, pcm: bytes) -> bytes:
        """Answer one request; see `turns`."""
        try:
            asked = turns.read_request(head, pcm)
            return turns.answer(self._diarizer.info if asked is None else await self._diarizer.diarize(asked))
        except errors.AftercallError as exc:
            return turns.answer(exc)


@serve.ingress(http)
class Ingress:
    """What clients reach: `POST /v1/windows` and, where there is a pipeline, `POST /v1/turns`."""

    def __init__(
        self, speech: handle.DeploymentHandle[Any], diarization: handle.DeploymentHandle[Any] | None = None
    ) -> None:
        self._speech = speech
        self._diarization = diarization

    @http.post(packing.WINDOWS_PATH)
    async def windows(self, request: fastapi.Request) -> fastapi.Response:
        """Transcribe one window; 429 while every replica is full."""
        return await self._pass_on(request, self._speech, packing.max_bytes(wire.MAX_PCM_BYTES))

    @http.post(packing.TURNS_PATH)
    async def turns(self, request: fastapi.Request) -> fastapi.Response:
        """Tell the speakers of one recording apart; 429 while every replica is full."""
        if self._diarization is None:
            return fastapi.Response(status_code=404)
        return await self._pass_on(request, self._diarization, packing.max_bytes(turns.MAX_PCM_BYTES))

    async def _pass_on(
        self, request: fastapi.Request, to: handle.DeploymentHandle[Any], max_bytes: int
    ) -> fastapi.Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                return fastapi.Response(status_code=413)
        try:
            head, pcm = packing.unpack(bytes(body))
        except ValueError as exc:
            return fastapi.Response(str(exc), status_code=400, media_type="text/plain")
        try:
            answer = await to.answer.remote(head, pcm)
        except exceptions.BackPressureError:
            return fastapi.Response(status_code=429, headers={"Retry-After": str(_RETRY_AFTER_S)})
        return fastapi.Response(answer, media_type="application/json")


def build(configured: settings.Settings) -> serve.Application:
    """Build the application that settings describe; `speech.url` has no meaning here."""
    speech, serving = configured.speech, configured.serving
    held = speech.max_batch_windows * _BATCHES_HELD
    # Ray's own threads are there before ours.
    kept = {} if serving.gpus else {"runtime_env": {"env_vars": allocator.ENVIRONMENT}}
    replica = serve.deployment(
        Speech,
        name="speech",
        num_replicas=serving.replicas,
        max_ongoing_requests=held,
        max_queued_requests=serving.max_queued_windows,
        ray_actor_options={"num_cpus": serving.cpus, "num_gpus": serving.gpus, **kept},
        graceful_shutdown_timeout_s=serving.drain_s,
    )
    here = speech.model_copy(update={"backend": "inprocess", "url": None, "max_windows_in_flight": held})
    ingress = serve.deployment(
        Ingress,
        name="ingress",
        num_replicas=serving.ingresses,
        max_ongoing_requests=held * serving.replicas + serving.max_queued_windows,
        ray_actor_options={"num_cpus": 0},
    )
    told = configured.diarization
    if told.pipeline is None:
        return ingress.bind(replica.bind(here))
    diarization = serve.deployment(
        Diarization,
        name="diarization",
        num_replicas=told.replicas,
        max_ongoing_requests=1,
        max_queued_requests=told.max_in_flight,
        ray_actor_options={"num_cpus": told.cpus, "num_gpus": told.gpus},
        graceful_shutdown_timeout_s=serving.drain_s,
    )
    pipelines = diarization.bind(told.model_copy(update={"backend": "inprocess", "url": None}))
    return ingress.bind(replica.bind(here), pipelines)


def _configured() -> settings.Settings:
    named = os.environ.get(settings.FILE_VARIABLE)
    return settings.load(os.environ, file=pathlib.Path(named) if named else None)


app = build(_configured())
