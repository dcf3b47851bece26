"""The Ray application once more, with Ray's own batching (`@serve.batch`) in the place of ours: for `servers.py`."""

from __future__ import annotations

import asyncio
import os

from ray import serve

from aftercall.contracts import sections, settings
from aftercall.serve import allocator, hosting
from aftercall.serve import app as ours

_BATCH = 8


class Speech:
    """One replica: an engine, and Ray's batches before it."""

    def __init__(self, speech: sections.Speech) -> None:
        from aftercall.serve.engines import ctranslate2

        self._engine = ctranslate2.Engine(speech.model, device="cpu", threads=speech.threads, workers=1)
        self._engine.warm_up()

    @serve.batch(max_batch_size=_BATCH, batch_wait_timeout_s=0.01)
    async def answer(self, heads: list[bytes], pcms: list[bytes]) -> list[bytes]:
        """Answer what Ray put together."""
        asked = [hosting.Request(head, pcm) for head, pcm in zip(heads, pcms, strict=True)]
        return await asyncio.to_thread(hosting.serve, self._engine, asked)


_configured = settings.load(os.environ)
_replica = serve.deployment(
    Speech,
    name="speech",
    num_replicas=_configured.serving.replicas,
    max_ongoing_requests=2 * _BATCH,
    ray_actor_options={"num_cpus": 1, "runtime_env": {"env_vars": allocator.ENVIRONMENT}},
)
app = serve.deployment(ours.Ingress, name="ingress", ray_actor_options={"num_cpus": 0}).bind(
    _replica.bind(_configured.speech)
)
